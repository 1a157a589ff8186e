import type { Wishes } from "./commands";
import type { Problem } from "./problems";
import type { Sounding } from "./rendition";
import type { Dial, TransportKind } from "./transport";

/** What the server says of itself, if it can be reached. */
export interface Found {
  problem: Problem | null;
  iceServers: RTCIceServer[];
  webrtc: boolean;
}

/** What the client is given from outside: how to reach the server, and what the person wants. */
export interface Outfit {
  dials: Record<TransportKind, Dial>;
  probe: () => Promise<Found>;
  wishes: () => Wishes;
  key: () => string;
  /** Whose speech is compared with what they said earlier; null: nobody's. */
  person: () => string | null;
  /** Whether what is said and written may go to the server; asks whoever is at the page, if need be. */
  permit: () => Promise<boolean>;
  /** Fetches and decodes a recording. */
  load: (audio: string) => Promise<Sounding>;
}
