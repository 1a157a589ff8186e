import type { PlayableAudio } from "./bufferPlayer";
import type { ClientPreferences } from "./clientEvents";
import type { Problem } from "./problems";
import type { Connect, TransportKind } from "./transport";

/** What a probe of the server has found. */
export interface ProbeResult {
  problem: Problem | null;
  iceServers: RTCIceServer[];
  webrtc: boolean;
}

/** Dependencies of `RealtimeClient`: how to reach the server, and the user's preferences. */
export interface ClientOptions {
  connect: Record<TransportKind, Connect>;
  probe: () => Promise<ProbeResult>;
  preferences: () => ClientPreferences;
  apiKey: () => string;
  /** Person whose speech is compared with their earlier speech; null: no comparison. */
  personId: () => string | null;
  /** Whether speech and text may be sent to the server; asks the user if necessary. */
  requestConsent: () => Promise<boolean>;
  /** Fetches and decodes a recording. */
  loadAudio: (audio: string) => Promise<PlayableAudio>;
}
