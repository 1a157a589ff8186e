import { useSyncExternalStore } from "react";

import { getBlob } from "../api/http";
import { apiKey } from "../api/key";
import { probe } from "../api/status";
import { BufferPlayer } from "../realtime/bufferPlayer";
import { RealtimeClient, type ClientState } from "../realtime/client";
import { connectWebRtc } from "../realtime/webrtc";
import { connectWebSocket } from "../realtime/websocket";
import { getPersonId, getPreferences } from "./preferences";
import { requestConsent } from "./recordingConsent";

/** The realtime client of this page. */
export const client = new RealtimeClient({
  connect: { webrtc: connectWebRtc, websocket: connectWebSocket },
  probe,
  preferences: getPreferences,
  apiKey,
  personId: getPersonId,
  requestConsent,
  loadAudio: async (audio) => BufferPlayer.decode(await (await getBlob(audio)).arrayBuffer()),
});

export function useClient(): ClientState {
  return useSyncExternalStore(client.subscribe, client.snapshot);
}
