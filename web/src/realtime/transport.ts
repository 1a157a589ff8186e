import type { ClientEvent, ServerEvent } from "./protocol";

export type TransportKind = "webrtc" | "websocket";

/** Position of the listener in a reply. */
export interface PlaybackPosition {
  itemId: string;
  ms: number;
  /** Nothing of it is audible now: it has ended, was stopped, or waits for more audio. */
  silent: boolean;
}

/** A connection that carries events both ways, the microphone's audio and the reply's audio. */
export interface Transport {
  readonly kind: TransportKind;
  /** Loudness of the reply now, 0 to 1. */
  level(): number;
  position(): PlaybackPosition | null;
  send(event: ClientEvent): void;
  /** Set the microphone to send from now on; null: none. */
  setMicrophone(stream: MediaStream | null): void;
  setMuted(muted: boolean): void;
  /** Stop the reply's audio; what still arrives of it is not played. */
  stopPlayback(): void;
  close(): void;
}

export interface TransportEvents {
  onEvent(event: ServerEvent): void;
  /** The connection was closed; code and reason as of a WebSocket. */
  onClosed(code: number, reason?: string): void;
}

export interface ConnectOptions {
  /** Session to resume; null: a new one. */
  sessionId: string | null;
  /** Take the session over from another connection. */
  takeover: boolean;
  apiKey: string;
  /** Person with whose earlier speech this is compared; null: no comparison. */
  personId: string | null;
  microphone: MediaStream | null;
  muted: boolean;
  iceServers: RTCIceServer[];
  events: TransportEvents;
}

/** Opens a connection; rejects if that takes longer than a few seconds. */
export type Connect = (options: ConnectOptions) => Promise<Transport>;
