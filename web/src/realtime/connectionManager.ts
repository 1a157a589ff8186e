import { backoffMs } from "./backoff";
import type { ClientOptions } from "./clientOptions";
import { KEY_REVOKED, protocolProblem, type Problem } from "./problems";
import type { ServerEvent } from "./protocol";
import type { ConnectOptions, Transport, TransportKind } from "./transport";

export type ConnectionState =
  | { kind: "idle" }
  | { kind: "connecting" }
  | { kind: "waiting"; place: number }
  | { kind: "open"; transport: TransportKind }
  | { kind: "reconnecting"; attempt: number };

/** Owner of the connection: gives its parameters and is told of its events. */
export interface ConnectionDelegate {
  sessionId(): string | null;
  microphone(): MediaStream | null;
  muted(): boolean;
  /** The state has changed; `problem` is undefined if nothing is known of one, null if there is none. */
  onStateChange(state: ConnectionState, problem?: Problem | null): void;
  /** The session is ready. */
  onReady(transport: Transport): void;
  /** The transport is closed: turns in progress will not continue. */
  onDrop(): void;
  /** The server does not know the session: nothing had been said in it. */
  onGone(): void;
  onEvent(event: ServerEvent): void;
}

/** Retry interval while the server is full or loading. */
const BUSY_RETRY_MS = 3_000;

/** Connects by WebRTC or else by WebSocket, and reconnects after the connection was lost. */
export class ConnectionManager {
  state: ConnectionState = { kind: "idle" };
  transport: Transport | null = null;
  private sessionCreated = false;
  /** Counts the connections: events of earlier ones are ignored. */
  private generation = 0;
  private attempt = 0;
  private retryTimer: ReturnType<typeof setTimeout> | undefined;
  private skipWebRtc = false;
  private triedWebRtc = false;
  /** Error code with which the server ends the connection. */
  private closeReason: string | null = null;
  /** Session of this page's last connection: it may be taken over although the server still considers it connected. */
  private ownedSessionId: string | null = null;

  constructor(
    private readonly options: ClientOptions,
    private readonly delegate: ConnectionDelegate,
  ) {}

  /** Connect, unless connected or connecting. */
  async connect(): Promise<void> {
    if (this.state.kind === "idle" || this.state.kind === "reconnecting") await this.openTransport();
  }

  /** Retry now, by both transports. */
  retry(): void {
    this.attempt = 0;
    this.skipWebRtc = false;
    if (this.state.kind === "reconnecting") void this.openTransport();
  }

  /** Allow the session to be taken over from another page or device. */
  setOwnedSession(sessionId: string | null): void {
    this.ownedSessionId = sessionId;
  }

  hangUp(): void {
    this.attempt = 0;
    this.dropTransport();
    this.goIdle();
  }

  private async openTransport(): Promise<void> {
    clearTimeout(this.retryTimer);
    this.generation += 1;
    const generation = this.generation;
    this.closeReason = null;
    if (this.state.kind !== "reconnecting") this.setState({ kind: "connecting" });
    const server = await this.options.probe();
    if (generation !== this.generation) return;
    if (server.problem !== null) {
      this.fail(server.problem);
      return;
    }
    const websocketOnly = this.skipWebRtc || !server.webrtc || this.options.preferences().transport === "websocket";
    this.triedWebRtc = !websocketOnly;
    for (const kind of websocketOnly ? (["websocket"] as const) : (["webrtc", "websocket"] as const)) {
      try {
        const transport = await this.options.connect[kind](this.connectOptions(generation, server.iceServers));
        if (generation !== this.generation) {
          transport.close();
          return;
        }
        this.transport = transport;
        if (this.sessionCreated) this.markReady();
        return;
      } catch {
        if (generation !== this.generation) return;
      }
    }
    this.fail("offline");
  }

  private connectOptions(generation: number, iceServers: RTCIceServer[]): ConnectOptions {
    const sessionId = this.delegate.sessionId();
    this.sessionCreated = false;
    return {
      sessionId,
      takeover: sessionId !== null && sessionId === this.ownedSessionId,
      apiKey: this.options.apiKey(),
      personId: this.options.personId(),
      microphone: this.delegate.microphone(),
      muted: this.delegate.muted(),
      iceServers,
      events: {
        onEvent: (event) => generation === this.generation && this.handleEvent(event),
        onClosed: (code, reason = "") => generation === this.generation && this.onClosed(code, reason),
      },
    };
  }

  private handleEvent(event: ServerEvent): void {
    if (event.type === "kuaimei.goodbye") this.closeReason = event.error;
    if (event.type === "error" && isFatalErrorCode(event.error.code)) this.closeReason = event.error.code ?? null;
    this.delegate.onEvent(event);
    if (event.type === "kuaimei.queue") this.setState({ kind: "waiting", place: event.place });
    if (event.type === "session.created") {
      this.sessionCreated = true;
      this.ownedSessionId = event.session.id;
      this.markReady();
    }
  }

  private markReady(): void {
    const { transport } = this;
    if (!transport) return;
    this.attempt = 0;
    // A network that blocked WebRTC now will block it next time.
    if (transport.kind === "websocket" && this.triedWebRtc) this.skipWebRtc = true;
    this.setState({ kind: "open", transport: transport.kind }, null);
    this.delegate.onReady(transport);
  }

  private onClosed(code: number, reason: string): void {
    if (reason === KEY_REVOKED) this.closeReason = reason;
    this.dropTransport();
    if (this.closeReason === "session_not_found") this.delegate.onGone();
    if (code === 1000) {
      this.goIdle(); // closed for inactivity
      return;
    }
    this.fail(protocolProblem(this.closeReason) ?? (code === 1013 ? "full" : this.closeReason === null ? "offline" : null));
  }

  /** Schedule another attempt, where that helps, and report the problem. */
  private fail(problem: Problem | null): void {
    if (problem === "key" || problem === "revoked" || problem === "in-use") {
      this.ownedSessionId = null;
      this.goIdle(problem);
      return;
    }
    this.generation += 1;
    const attempt = this.attempt;
    this.attempt += 1;
    this.setState({ kind: "reconnecting", attempt }, problem);
    const wait = problem === "full" || problem === "loading" ? BUSY_RETRY_MS : backoffMs(attempt);
    this.retryTimer = setTimeout(() => void this.openTransport(), wait);
  }

  private goIdle(problem?: Problem): void {
    clearTimeout(this.retryTimer);
    this.generation += 1;
    this.setState({ kind: "idle" }, problem);
  }

  private dropTransport(): void {
    const { transport } = this;
    this.transport = null;
    transport?.close();
    this.delegate.onDrop();
  }

  private setState(state: ConnectionState, problem?: Problem | null): void {
    this.state = state;
    this.delegate.onStateChange(state, problem);
  }
}

/** True if the server ends the connection after such an error. */
function isFatalErrorCode(code: string | null | undefined): boolean {
  const problem = protocolProblem(code);
  return code === "session_not_found" || (problem !== null && problem !== "limited");
}
