import { useSyncExternalStore } from "react";

import { apiKey } from "../api/http";
import { probe } from "../api/rest";
import { RealtimeClient, type ClientState } from "../realtime/client";
import { dialWebRtc } from "../realtime/webrtc";
import { dialWebSocket } from "../realtime/websocket";
import { preferences } from "./preferences";

/** The one conversation of this page. */
export const client = new RealtimeClient({
  dials: { webrtc: dialWebRtc, websocket: dialWebSocket },
  probe,
  wishes: preferences,
  key: apiKey,
});

export function useClient(): ClientState {
  return useSyncExternalStore(client.subscribe, client.snapshot);
}
