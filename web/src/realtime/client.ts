import { backoffMs } from "./backoff";
import { Commands, type Wishes } from "./commands";
import { NoMicrophone, openMicrophone, releaseMicrophone } from "./microphone";
import { protocolProblem, type Problem } from "./problems";
import { QUIET, type ClientEvent, type ServerEvent } from "./protocol";
import { EMPTY, reduce, type Action, type Line, type SessionState } from "./session";
import { Meter, wakeSound } from "./sound";
import type { Call, Dial, Position, Transport, TransportKind } from "./transport";

export type Connection =
  | { kind: "idle" }
  | { kind: "connecting" }
  | { kind: "waiting"; place: number }
  | { kind: "open"; transport: TransportKind }
  | { kind: "reconnecting"; attempt: number };

export interface ClientState {
  connection: Connection;
  session: SessionState;
  /** The microphone is on. */
  talking: boolean;
  /** Push to talk: the key or button is down. */
  pressed: boolean;
  problem: Problem | null;
}

/** What the server says of itself, if it can be reached. */
export interface Found {
  problem: Problem | null;
  iceServers: RTCIceServer[];
  webrtc: boolean;
}

export type Probe = () => Promise<Found>;

export type Happening = ServerEvent | { type: "local.ready" };

export interface Outfit {
  dials: Record<TransportKind, Dial>;
  probe: Probe;
  wishes: () => Wishes;
  key: () => string;
}

/** How long a microphone that was switched off still gives silence, so that the turn can end by itself. */
const LINGER_MS = 1_500;
/** Words spoken just before the key was released are still on their way. */
const RELEASE_MS = 200;
const COMMIT_MS = 150;
/** How long a microphone stays open for the next push. */
const REST_MS = 30_000;
const LOOK_MS = 1_500;
const AGAIN_MS = 150;
const AGAIN_TIMES = 20;

/** The conversation with the server: connects, falls back, comes back, and holds what is shown. */
export class RealtimeClient {
  private state: ClientState = {
    connection: { kind: "idle" },
    session: EMPTY,
    talking: false,
    pressed: false,
    problem: null,
  };
  private readonly listeners = new Set<() => void>();
  private readonly watchers = new Set<(event: Happening) => void>();
  private transport: Transport | null = null;
  private greeted = false;
  private generation = 0;
  private waiting: ClientEvent[] = [];
  private microphone: MediaStream | null = null;
  private meter: Meter | null = null;
  private lingering: ReturnType<typeof setTimeout> | undefined;
  private redialing: ReturnType<typeof setTimeout> | undefined;
  private attempt = 0;
  private withoutRtc = false;
  private triedRtc = false;
  private errorCode: string | null = null;
  /** The microphone is on for one push only. */
  private momentary = false;
  /** The session this page had a connection to: it may be taken from one that the server has not missed yet. */
  private own: string | null = null;
  private respondAgain = AGAIN_TIMES;
  private readonly commands: Commands;

  constructor(private readonly outfit: Outfit) {
    this.commands = new Commands((event) => this.send(event), outfit.wishes);
  }

  // what a view needs

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  readonly snapshot = (): ClientState => this.state;

  /** Every event of the server, after it has taken effect; and that it has become ready. */
  watch(watcher: (event: Happening) => void): () => void {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  }

  levels(): { microphone: number; reply: number } {
    const open = this.state.talking && !this.silent;
    return { microphone: open ? (this.meter?.level() ?? 0) : 0, reply: this.transport?.level() ?? 0 };
  }

  position(): Position | null {
    return this.transport?.position() ?? null;
  }

  dispatch(action: Action): void {
    this.set({ session: reduce(this.state.session, action) });
  }

  // what a person does

  /** Say at once if the server is away, still loading or wants a key, and when it no longer is. */
  async look(): Promise<void> {
    if (this.state.connection.kind !== "idle") return;
    const { problem } = await this.outfit.probe();
    if (this.state.connection.kind !== "idle") return;
    const waiting = this.state.problem === "loading" || this.state.problem === "offline";
    if (problem !== null || waiting) this.set({ problem });
    if (problem !== null && problem !== "key") setTimeout(() => void this.look(), LOOK_MS);
    else if (waiting) for (const watcher of this.watchers) watcher({ type: "local.ready" });
  }

  /** Switch the microphone on. */
  async talk(): Promise<void> {
    wakeSound();
    clearTimeout(this.lingering);
    this.set({ problem: null });
    try {
      await this.equip();
    } catch (error) {
      this.set({ talking: false, problem: error instanceof NoMicrophone ? error.problem : "unsupported" });
      return;
    }
    this.set({ talking: true });
    this.commands.listenBy(this.outfit.wishes().mode === "hands-free");
    this.applyMute();
    await this.connect();
  }

  /** Switch it off; what was being said is still understood. */
  quiet(): void {
    this.set({ talking: false, pressed: false });
    this.applyMute();
    clearTimeout(this.lingering);
    this.lingering = setTimeout(() => this.unequip(), LINGER_MS);
  }

  /** Push to talk: the key goes down. */
  async press(): Promise<void> {
    if (this.state.pressed) return;
    clearTimeout(this.lingering);
    this.momentary = !this.state.talking;
    this.set({ pressed: true });
    if (!this.state.talking) await this.talk();
    if (!this.state.talking) this.set({ pressed: false });
    if (!this.state.pressed) {
      this.rest(); // let go of before there was a microphone
      return;
    }
    this.commands.listenBy(false);
    if (this.answering) this.stop();
    this.applyMute();
  }

  /** … and up again: the utterance is over. */
  release(): void {
    if (!this.state.pressed) return;
    this.set({ pressed: false });
    setTimeout(() => {
      if (this.state.pressed) return;
      this.applyMute();
      this.rest();
      // After the last sound: what came later would begin an utterance that nobody ends.
      setTimeout(() => {
        if (this.state.pressed || this.state.connection.kind !== "open") return;
        this.send({ type: "input_audio_buffer.commit", event_id: `${QUIET}commit` });
        this.respond();
      }, COMMIT_MS);
    }, RELEASE_MS);
  }

  /** After push to talk: the microphone is not kept open for ever. */
  private rest(): void {
    this.applyMute();
    if (!this.state.talking || (this.outfit.wishes().mode === "hands-free" && !this.momentary)) return;
    clearTimeout(this.lingering);
    this.lingering = setTimeout(() => this.quiet(), this.momentary && !this.manual ? 0 : REST_MS);
  }

  /** Say something by typing it. */
  async type(text: string): Promise<void> {
    wakeSound();
    if (this.answering) this.stop();
    const id = this.commands.type(text);
    this.dispatch({ type: "local.typed", id, text });
    this.respond();
    await this.connect();
  }

  /** Say it differently: what came of the old words is taken back. */
  async retype(line: Line, text: string): Promise<void> {
    const { lines } = this.state.session;
    const from = lines.findIndex((one) => one.id === line.id);
    const ids = from < 0 ? [] : lines.slice(from).map((one) => one.id);
    if (this.answering) this.stop();
    for (const id of ids) this.commands.forget(id);
    this.dispatch({ type: "local.removed", ids });
    await this.type(text);
  }

  /** Stop the reply: silence at once. */
  stop(): void {
    this.transport?.hush();
    this.send({ type: "response.cancel", event_id: `${QUIET}cancel` });
  }

  /** Voice, speed, language or mode have been changed. */
  refit(): void {
    if (this.state.connection.kind !== "open") return;
    this.commands.configure();
    if (this.state.talking) this.commands.listenBy(this.outfit.wishes().mode === "hands-free");
    this.applyMute();
  }

  /** Another microphone was chosen. */
  async changeMicrophone(): Promise<void> {
    if (!this.microphone) return;
    const talking = this.state.talking;
    this.unequip();
    if (talking) await this.talk();
  }

  /** Leave this session for another (or a new one); the connection ends. */
  open(session: string | null, lines: Line[]): void {
    this.hangUp();
    const loaded = session === null ? EMPTY : reduce(EMPTY, { type: "local.loaded", session, lines });
    this.set({ session: loaded, problem: null });
  }

  /** Go on here with a session that another page or device has. */
  async takeOver(): Promise<void> {
    this.own = this.state.session.id;
    this.set({ problem: null });
    await this.connect();
  }

  /** The server asks for a key that this page has not got. */
  needKey(): void {
    this.set({ problem: "key" });
  }

  dismiss(): void {
    this.dispatch({ type: "local.dismissed" });
    this.set({ problem: null });
  }

  /** Try at once what would be tried again later. */
  retry(): void {
    this.attempt = 0;
    this.withoutRtc = false;
    this.set({ problem: null });
    if (this.state.connection.kind === "reconnecting") void this.redial();
  }

  hangUp(): void {
    this.quiet();
    this.unequip();
    this.generation += 1;
    clearTimeout(this.redialing);
    this.drop();
    this.waiting = [];
    this.attempt = 0;
    this.dispatch({ type: "local.disconnected" });
    this.set({ connection: { kind: "idle" } });
  }

  // connecting

  private async connect(): Promise<void> {
    const { kind } = this.state.connection;
    if (kind === "idle") await this.dial();
    else if (kind === "reconnecting") await this.redial();
  }

  private async redial(): Promise<void> {
    clearTimeout(this.redialing);
    await this.dial();
  }

  private async dial(): Promise<void> {
    this.generation += 1;
    const mine = this.generation;
    this.greeted = false;
    this.errorCode = null;
    if (this.state.connection.kind !== "reconnecting") this.set({ connection: { kind: "connecting" } });
    const server = await this.outfit.probe();
    if (mine !== this.generation) return;
    if (server.problem !== null) {
      this.fail(server.problem);
      return;
    }
    const plain = this.withoutRtc || !server.webrtc || this.outfit.wishes().transport === "websocket";
    this.triedRtc = !plain;
    const wanted: TransportKind[] = plain ? ["websocket"] : ["webrtc", "websocket"];
    for (const kind of wanted) {
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
    return {
      session: this.state.session.id,
      takeover: this.state.session.id !== null && this.state.session.id === this.own,
      key: this.outfit.key(),
      microphone: this.microphone,
      muted: this.silent,
      iceServers,
      caller: {
        event: (event) => mine === this.generation && this.take(event),
        closed: (code) => mine === this.generation && this.closed(code),
      },
    };
  }

  /** The session stands: say how it is to be, and what was waiting to be said. */
  private settle(): void {
    const { transport } = this;
    if (!transport) return;
    this.attempt = 0;
    // What did not come about now will not next time either, in the same network.
    if (transport.kind === "websocket" && this.triedRtc) this.withoutRtc = true;
    this.set({ connection: { kind: "open", transport: transport.kind }, problem: null });
    transport.listen(this.microphone);
    transport.mute(this.silent);
    this.commands.configure();
    this.commands.listenBy(!this.manual, true);
    const waiting = this.waiting;
    this.waiting = [];
    for (const event of waiting) transport.send(event);
  }

  private closed(code: number): void {
    this.drop();
    this.dispatch({ type: "local.disconnected" });
    const error = this.errorCode;
    if (error === "session_not_found") {
      // Nothing had been said in it, so nothing was kept: a new one takes its place.
      this.set({ session: { ...this.state.session, id: null } });
    }
    if (code === 1000 && !this.state.talking) {
      this.settleDown();
      return;
    }
    this.fail(protocolProblem(error) ?? (code === 1013 ? "full" : error === null ? "offline" : null));
  }

  /** Try again later; say why, if it is known. */
  private fail(problem: Problem | null): void {
    clearTimeout(this.redialing);
    if (problem === "key" || problem === "in-use") {
      this.own = null;
      this.settleDown();
      this.quiet();
      this.set({ problem });
      return;
    }
    this.generation += 1;
    const attempt = this.attempt;
    this.attempt += 1;
    this.set({ connection: { kind: "reconnecting", attempt }, problem });
    const wait = problem === "full" || problem === "loading" ? 3_000 : backoffMs(attempt);
    this.redialing = setTimeout(() => void this.dial(), wait);
  }

  private settleDown(): void {
    this.generation += 1;
    this.set({ connection: { kind: "idle" } });
  }

  private drop(): void {
    const { transport } = this;
    this.transport = null;
    this.greeted = false;
    transport?.close();
  }

  // events

  private take(event: ServerEvent): void {
    const quiet = event.type === "error" && this.overheard(event.error);
    if (!quiet) this.dispatch(event);
    switch (event.type) {
      case "session.created":
        this.greeted = true;
        this.own = event.session.id;
        this.settle();
        break;
      case "kuaimei.queue":
        this.set({ connection: { kind: "waiting", place: event.place } });
        break;
      case "kuaimei.goodbye":
        this.errorCode = event.error;
        break;
      case "response.created":
        this.respondAgain = AGAIN_TIMES;
        break;
      case "kuaimei.turn.timing":
        // After a push in between, the server finds the ends of turns by itself again.
        if (this.state.talking && !this.manual) this.commands.listenBy(true);
        break;
      default:
    }
    for (const watcher of this.watchers) watcher(event);
  }

  /** Whether an error needs nobody's attention. */
  private overheard(error: { code?: string | null; event_id?: string | null }): boolean {
    this.errorCode = error.code ?? null;
    if (error.code === "conversation_already_has_active_response" && this.respondAgain > 0) {
      this.respondAgain -= 1;
      setTimeout(() => this.send({ type: "response.create" }), AGAIN_MS);
      return true;
    }
    const problem = protocolProblem(error.code);
    if (problem !== null) this.set({ problem });
    return problem !== null || error.code === "session_not_found" || (error.event_id ?? "").startsWith(QUIET);
  }

  private respond(): void {
    this.respondAgain = AGAIN_TIMES;
    this.send({ type: "response.create" });
  }

  private send(event: ClientEvent): void {
    if (this.transport && this.state.connection.kind === "open") this.transport.send(event);
    else if (event.type.startsWith("conversation.item.") || event.type === "response.create") this.waiting.push(event);
  }

  // the microphone

  private async equip(): Promise<void> {
    if (this.microphone) return;
    const stream = await openMicrophone(this.outfit.wishes().microphone);
    this.microphone = stream;
    this.meter = Meter.ofStream(stream);
    stream.getAudioTracks()[0]?.addEventListener("ended", () => {
      if (this.microphone !== stream) return;
      this.unequip();
      this.set({ talking: false, pressed: false, problem: "microphone-lost" });
    });
    this.transport?.listen(stream);
  }

  private unequip(): void {
    clearTimeout(this.lingering);
    this.transport?.listen(null);
    this.meter?.close();
    this.meter = null;
    releaseMicrophone(this.microphone);
    this.microphone = null;
  }

  private get manual(): boolean {
    return this.outfit.wishes().mode === "push-to-talk" || this.state.pressed;
  }

  /** Nothing may be heard now. */
  private get silent(): boolean {
    return !this.state.talking || (this.manual && !this.state.pressed);
  }

  private applyMute(): void {
    this.transport?.mute(this.silent);
  }

  private get answering(): boolean {
    const { response, phase, held } = this.state.session;
    return response !== null || phase !== "listening" || held;
  }

  private set(part: Partial<ClientState>): void {
    this.state = { ...this.state, ...part };
    for (const listener of this.listeners) listener();
  }
}
