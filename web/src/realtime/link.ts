import { backoffMs } from "./backoff";
import type { Outfit } from "./outfit";
import { KEY_REVOKED, protocolProblem, type Problem } from "./problems";
import type { ServerEvent } from "./protocol";
import type { Call, Transport, TransportKind } from "./transport";

export type Connection =
  | { kind: "idle" }
  | { kind: "connecting" }
  | { kind: "waiting"; place: number }
  | { kind: "open"; transport: TransportKind }
  | { kind: "reconnecting"; attempt: number };

/** Whose connection it is. */
export interface Owner {
  session(): string | null;
  microphone(): MediaStream | null;
  muted(): boolean;
  /** The connection is another now; a problem is given where one is known to be there or gone. */
  moved(connection: Connection, problem?: Problem | null): void;
  /** The session stands. */
  settled(transport: Transport): void;
  /** What was under way will not go on. */
  broken(): void;
  /** The server knows no such session: nothing had been said in it. */
  forgotten(): void;
  event(event: ServerEvent): void;
}

/** Where somebody waits anyway, asking every so often is enough. */
const WAIT_MS = 3_000;

/** The connection: tries WebRTC, falls back to WebSocket, and comes back after it was lost. */
export class Link {
  connection: Connection = { kind: "idle" };
  transport: Transport | null = null;
  private greeted = false;
  /** Counts the connections: what an old one still has to say is nobody's business. */
  private generation = 0;
  private attempt = 0;
  private redialing: ReturnType<typeof setTimeout> | undefined;
  private withoutRtc = false;
  private triedRtc = false;
  /** Why the server ends the connection, in the protocol's words. */
  private farewell: string | null = null;
  /** The session this page had a connection to: it may be taken from one that the server has not missed yet. */
  private own: string | null = null;

  constructor(
    private readonly outfit: Outfit,
    private readonly owner: Owner,
  ) {}

  /** Connect, unless that is done or being done. */
  async connect(): Promise<void> {
    if (this.connection.kind === "idle" || this.connection.kind === "reconnecting") await this.dial();
  }

  /** Try at once what would be tried again later, by every way there is. */
  retry(): void {
    this.attempt = 0;
    this.withoutRtc = false;
    if (this.connection.kind === "reconnecting") void this.dial();
  }

  /** The session may be taken from whoever else has it. */
  claim(session: string | null): void {
    this.own = session;
  }

  hangUp(): void {
    this.attempt = 0;
    this.drop();
    this.rest();
  }

  private async dial(): Promise<void> {
    clearTimeout(this.redialing);
    this.generation += 1;
    const mine = this.generation;
    this.farewell = null;
    if (this.connection.kind !== "reconnecting") this.move({ kind: "connecting" });
    const server = await this.outfit.probe();
    if (mine !== this.generation) return;
    if (server.problem !== null) {
      this.fail(server.problem);
      return;
    }
    const plain = this.withoutRtc || !server.webrtc || this.outfit.wishes().transport === "websocket";
    this.triedRtc = !plain;
    for (const kind of plain ? (["websocket"] as const) : (["webrtc", "websocket"] as const)) {
      try {
        const transport = await this.outfit.dials[kind](this.call(mine, server.iceServers));
        if (mine !== this.generation) {
          transport.close();
          return;
        }
        this.transport = transport;
        if (this.greeted) this.settle();
        return;
      } catch {
        if (mine !== this.generation) return;
      }
    }
    this.fail("offline");
  }

  private call(mine: number, iceServers: RTCIceServer[]): Call {
    const session = this.owner.session();
    this.greeted = false;
    return {
      session,
      takeover: session !== null && session === this.own,
      key: this.outfit.key(),
      person: this.outfit.person(),
      microphone: this.owner.microphone(),
      muted: this.owner.muted(),
      iceServers,
      caller: {
        event: (event) => mine === this.generation && this.take(event),
        closed: (code, reason = "") => mine === this.generation && this.closed(code, reason),
      },
    };
  }

  private take(event: ServerEvent): void {
    if (event.type === "kuaimei.goodbye") this.farewell = event.error;
    if (event.type === "error" && ends(event.error.code)) this.farewell = event.error.code ?? null;
    this.owner.event(event);
    if (event.type === "kuaimei.queue") this.move({ kind: "waiting", place: event.place });
    if (event.type === "session.created") {
      this.greeted = true;
      this.own = event.session.id;
      this.settle();
    }
  }

  private settle(): void {
    const { transport } = this;
    if (!transport) return;
    this.attempt = 0;
    // What did not come about now will not next time either, in the same network.
    if (transport.kind === "websocket" && this.triedRtc) this.withoutRtc = true;
    this.move({ kind: "open", transport: transport.kind }, null);
    this.owner.settled(transport);
  }

  private closed(code: number, reason: string): void {
    if (reason === KEY_REVOKED) this.farewell = reason;
    this.drop();
    if (this.farewell === "session_not_found") this.owner.forgotten();
    if (code === 1000) {
      this.rest(); // nothing was said for long
      return;
    }
    this.fail(protocolProblem(this.farewell) ?? (code === 1013 ? "full" : this.farewell === null ? "offline" : null));
  }

  /** Try again later, where that helps; say why, if it is known. */
  private fail(problem: Problem | null): void {
    if (problem === "key" || problem === "revoked" || problem === "in-use") {
      this.own = null;
      this.rest(problem);
      return;
    }
    this.generation += 1;
    const attempt = this.attempt;
    this.attempt += 1;
    this.move({ kind: "reconnecting", attempt }, problem);
    const wait = problem === "full" || problem === "loading" ? WAIT_MS : backoffMs(attempt);
    this.redialing = setTimeout(() => void this.dial(), wait);
  }

  private rest(problem?: Problem): void {
    clearTimeout(this.redialing);
    this.generation += 1;
    this.move({ kind: "idle" }, problem);
  }

  private drop(): void {
    const { transport } = this;
    this.transport = null;
    transport?.close();
    this.owner.broken();
  }

  private move(connection: Connection, problem?: Problem | null): void {
    this.connection = connection;
    this.owner.moved(connection, problem);
  }
}

/** After such an error the server ends the connection. */
function ends(code: string | null | undefined): boolean {
  const problem = protocolProblem(code);
  return code === "session_not_found" || (problem !== null && problem !== "limited");
}
