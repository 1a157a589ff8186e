import { useSyncExternalStore } from "react";

import { apiKey } from "../api/http";
import { getSound, probe } from "../api/rest";
import { RealtimeClient, type ClientState } from "../realtime/client";
import { Rendition } from "../realtime/rendition";
import { dialWebRtc } from "../realtime/webrtc";
import { dialWebSocket } from "../realtime/websocket";
import { personOf, preferences } from "./preferences";

/** The one conversation of this page. */
export const client = new RealtimeClient({
  dials: { webrtc: dialWebRtc, websocket: dialWebSocket },
  probe,
  wishes: preferences,
  key: apiKey,
  person: personOf,
  load: async (audio) => Rendition.decode(await (await getSound(audio)).arrayBuffer()),
});

export function useClient(): ClientState {
  return useSyncExternalStore(client.subscribe, client.snapshot);
}
