import type { ClientEvent, ServerEvent } from "./protocol";

export type TransportKind = "webrtc" | "websocket";

/** Where in which reply the listener is. */
export interface Position {
  itemId: string;
  ms: number;
  /** Nothing of it is being heard now: it is over, was stopped, or more has yet to come. */
  silent: boolean;
}

/** A connection that carries the events both ways, the microphone there and the reply back. */
export interface Transport {
  readonly kind: TransportKind;
  /** Loudness of the reply's sound now, 0 to 1. */
  level(): number;
  position(): Position | null;
  send(event: ClientEvent): void;
  /** The microphone to listen to from now on; null: none. */
  listen(stream: MediaStream | null): void;
  mute(muted: boolean): void;
  /** Silence at once; what still comes of this reply is not played. */
  hush(): void;
  close(): void;
}

export interface Caller {
  event(event: ServerEvent): void;
  /** The connection is over; code and reason are a WebSocket's. */
  closed(code: number, reason?: string): void;
}

export interface Call {
  /** Session to go on with; null: a new one. */
  session: string | null;
  /** If another connection has it, that one must give it up. */
  takeover: boolean;
  key: string;
  /** Whose earlier speech this is compared with; null: nobody's. */
  person: string | null;
  microphone: MediaStream | null;
  muted: boolean;
  iceServers: RTCIceServer[];
  caller: Caller;
}

/** Opens a connection; rejects if it does not stand within a few seconds. */
export type Dial = (call: Call) => Promise<Transport>;
