import { useSyncExternalStore } from "react";

import { apiKey } from "../api/key";
import { getSound, probe } from "../api/rest";
import { RealtimeClient, type ClientState } from "../realtime/client";
import { Rendition } from "../realtime/rendition";
import { dialWebRtc } from "../realtime/webrtc";
import { dialWebSocket } from "../realtime/websocket";
import { permit } from "./notice";
import { personOf, preferences } from "./preferences";

/** The one conversation of this page. */
export const client = new RealtimeClient({
  dials: { webrtc: dialWebRtc, websocket: dialWebSocket },
  probe,
  wishes: preferences,
  key: apiKey,
  person: personOf,
  permit,
  load: async (audio) => Rendition.decode(await (await getSound(audio)).arrayBuffer()),
});

export function useClient(): ClientState {
  return useSyncExternalStore(client.subscribe, client.snapshot);
}
