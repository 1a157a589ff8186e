import { Commands } from "./commands";
import { Ear } from "./ear";
import { Encore } from "./encore";
import { Link, type Connection } from "./link";
import { microphoneHindrance, NoMicrophone } from "./microphone";
import type { Outfit } from "./outfit";
import { protocolProblem, type Problem } from "./problems";
import { QUIET, type ClientEvent, type Failure, type ServerEvent } from "./protocol";
import { EMPTY, reduce, type Action, type Line, type SessionState } from "./session";
import { wakeSound } from "./sound";
import type { Position, Transport } from "./transport";

export interface ClientState {
  connection: Connection;
  session: SessionState;
  /** The microphone is on. */
  talking: boolean;
  /** Somebody is being asked whether what they say may be kept. */
  asking: boolean;
  /** Push to talk: the key or button is down. */
  pressed: boolean;
  problem: Problem | null;
  /** The reply whose beautiful rendering is being heard in place of the fast one. */
  encore: string | null;
}

const BEFORE: ClientState = {
  connection: { kind: "idle" },
  session: EMPTY,
  talking: false,
  asking: false,
  pressed: false,
  problem: null,
  encore: null,
};

export type Happening = ServerEvent | { type: "local.ready" } | { type: "local.voice_deleted"; voice: string };

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

/** The conversation with the server: what is shown of it, and what a person can do. */
export class RealtimeClient {
  private state: ClientState = BEFORE;
  private readonly listeners = new Set<() => void>();
  private readonly watchers = new Set<(event: Happening) => void>();
  private readonly link: Link;
  private readonly ear: Ear;
  private readonly commands: Commands;
  private readonly encore: Encore;
  /** What is to be said once the session stands. */
  private waiting: ClientEvent[] = [];
  /** The microphone is on for one push only. */
  private momentary = false;
  private respondAgain = AGAIN_TIMES;
  /** Questions about it that are not answered yet. */
  private asked = 0;
  /** The microphone is being switched on. */
  private opening = false;
  /** Counts the people at this page, one after the other: an answer given to one is not another's. */
  private visit = 0;
  private looking: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly outfit: Outfit) {
    this.commands = new Commands((event) => this.send(event), outfit.wishes);
    this.ear = new Ear(
      (stream) => this.link.transport?.listen(stream),
      () => this.set({ talking: false, pressed: false, problem: "microphone-lost" }),
    );
    this.encore = new Encore({
      wanted: () => outfit.wishes().swap,
      position: () => this.link.transport?.position() ?? null,
      level: () => this.link.transport?.level() ?? 0,
      line: (item) => this.state.session.lines.find((line) => line.id === item),
      alive: (item) => this.state.session.response?.itemId === item,
      hush: () => this.link.transport?.hush(),
      send: (event) => this.send(event),
      load: outfit.load,
      changed: () => this.set({ encore: this.encore.item }),
    });
    this.link = new Link(outfit, {
      session: () => this.state.session.id,
      microphone: () => this.ear.stream,
      muted: () => this.silent,
      moved: (connection, problem) => this.moved(connection, problem),
      settled: (transport) => this.settled(transport),
      broken: () => {
        this.encore.forget(); // nobody would notice that somebody speaks over it
        this.dispatch({ type: "local.disconnected" });
      },
      forgotten: () => this.set({ session: { ...this.state.session, id: null } }),
      event: (event) => this.take(event),
    });
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
    const reply = this.encore.item === null ? this.link.transport?.level() : this.encore.level();
    return { microphone: this.silent ? 0 : this.ear.level(), reply: reply ?? 0 };
  }

  position(): Position | null {
    return this.encore.position() ?? this.link.transport?.position() ?? null;
  }

  dispatch(action: Action): void {
    this.set({ session: reduce(this.state.session, action) });
  }

  /** A voice is gone, and with it the sound of what was said in it. */
  voiceDeleted(voice: string): void {
    this.tell({ type: "local.voice_deleted", voice });
  }

  // speaking

  /** Switch the microphone on. */
  async talk(): Promise<void> {
    wakeSound();
    if (this.opening) return;
    const hindrance = microphoneHindrance();
    this.set({ problem: hindrance });
    if (hindrance !== null) return; // nobody is asked for a permission that leads nowhere
    this.opening = true;
    const mine = this.visit;
    try {
      if (!(await this.permitted())) return;
      await this.ear.open(this.outfit.wishes().microphone);
      if (mine !== this.visit) {
        this.ear.close(); // whoever wanted it has gone meanwhile
        return;
      }
    } catch (error) {
      this.set({ talking: false, problem: error instanceof NoMicrophone ? error.problem : "unsupported" });
      return;
    } finally {
      this.opening = false;
    }
    this.set({ talking: true });
    this.commands.listenBy(!this.manual);
    this.mute();
    await this.link.connect();
  }

  /** Switch it off; what was being said is still understood. */
  quiet(): void {
    this.set({ talking: false, pressed: false });
    this.mute();
    this.ear.after(LINGER_MS, () => this.ear.close());
  }

  /** Push to talk: the key goes down. */
  async press(): Promise<void> {
    if (this.state.pressed) return;
    this.ear.stay();
    this.momentary = !this.state.talking;
    this.set({ pressed: true });
    if (!this.state.talking) await this.talk();
    if (!this.state.talking) this.set({ pressed: false });
    if (!this.state.pressed) {
      this.rest(); // let go of before there was a microphone
      return;
    }
    this.keepUp();
    this.commands.listenBy(false);
    if (this.answering) this.stop();
    this.mute();
  }

  /** … and up again: the utterance is over. */
  release(): void {
    if (!this.state.pressed) return;
    this.set({ pressed: false });
    setTimeout(() => {
      if (this.state.pressed) return;
      this.rest();
      // After the last sound: what came later would begin an utterance that nobody ends.
      setTimeout(() => {
        if (this.state.pressed || this.state.connection.kind !== "open") return;
        this.send({ type: "input_audio_buffer.commit", event_id: `${QUIET}commit` });
        this.respond();
      }, COMMIT_MS);
    }, RELEASE_MS);
  }

  /** After a push: the microphone is not kept open for ever. */
  private rest(): void {
    this.mute();
    if (!this.state.talking) return;
    if (this.outfit.wishes().mode === "push-to-talk") this.ear.after(REST_MS, () => this.quiet());
    else if (this.momentary) this.quiet();
  }

  /** Another microphone was chosen. */
  async changeMicrophone(): Promise<void> {
    if (!this.ear.stream) return;
    this.ear.close();
    if (this.state.talking) await this.talk();
  }

  // typing, stopping, changing

  /** Say something by typing it; false: it may not be sent, and was taken back. */
  async type(text: string): Promise<boolean> {
    wakeSound();
    if (this.answering) this.stop();
    this.keepUp();
    const id = this.commands.type(text);
    this.dispatch({ type: "local.typed", id, text });
    this.respond();
    if (!(await this.permitted())) {
      this.waiting = []; // nothing was sent: a connection there is only with a permission
      this.dispatch({ type: "local.removed", ids: [id] });
      return false;
    }
    await this.link.connect();
    return true;
  }

  /** Say it differently: what came of the old words is taken back. */
  async retype(line: Line, text: string): Promise<boolean> {
    const { lines } = this.state.session;
    if (!(await this.permitted())) return false;
    const from = lines.findIndex((one) => one.id === line.id);
    const ids = from < 0 ? [] : lines.slice(from).map((one) => one.id);
    if (this.answering) this.stop();
    for (const id of ids) this.commands.forget(id);
    this.dispatch({ type: "local.removed", ids });
    return this.type(text);
  }

  /** Ask whether anything may be sent. */
  private async permitted(): Promise<boolean> {
    const mine = this.visit;
    this.asked += 1;
    this.set({ asking: true });
    try {
      return (await this.outfit.permit()) && mine === this.visit;
    } finally {
      this.asked -= 1;
      this.set({ asking: this.asked > 0 });
    }
  }

  /** Stop the reply: silence at once. */
  stop(): void {
    this.link.transport?.hush();
    if (this.replying || this.encore.item === null) this.send({ type: "response.cancel", event_id: `${QUIET}cancel` });
    this.encore.stop();
  }

  /** A slider that is still held has changed something already, and told nobody. */
  private keepUp(): void {
    if (this.state.connection.kind === "open") this.commands.keepUp();
  }

  /** Voice, speed, language or mode have been changed. */
  refit(): void {
    if (this.state.connection.kind !== "open") return;
    this.commands.configure();
    if (this.state.talking) this.commands.listenBy(!this.manual);
    this.mute();
  }

  // the session and its connection

  /** Leave this session for another (or a new one); the connection ends. */
  open(session: string | null, lines: Line[]): void {
    this.hangUp();
    const loaded = session === null ? EMPTY : reduce(EMPTY, { type: "local.loaded", session, lines });
    this.set({ session: loaded, problem: null });
  }

  /** Go on here with a session that another page or device has. */
  async takeOver(): Promise<void> {
    this.link.claim(this.state.session.id);
    this.set({ problem: null });
    await this.link.connect();
  }

  /** Say at once if the server is away, still loading or wants a key, and when it no longer is. */
  async look(): Promise<void> {
    if (this.state.connection.kind !== "idle") return;
    const mine = this.visit;
    const { problem } = await this.outfit.probe();
    if (mine !== this.visit || this.state.connection.kind !== "idle") return;
    const waiting = this.state.problem === "loading" || this.state.problem === "offline";
    if (problem !== null || waiting) this.set({ problem });
    if (problem !== null && problem !== "key") this.looking = setTimeout(() => void this.look(), LOOK_MS);
    else if (waiting) this.tell({ type: "local.ready" });
  }

  /** Forget the conversation and whoever had it: silence at once, no microphone, no connection. */
  forget(): void {
    this.visit += 1;
    clearTimeout(this.looking);
    this.hangUp();
    this.link.claim(null);
    this.encore.forget();
    this.set(BEFORE);
  }

  dismiss(): void {
    this.dispatch({ type: "local.dismissed" });
    this.set({ problem: null });
  }

  /** Try at once what would be tried again later. */
  retry(): void {
    this.set({ problem: null });
    this.link.retry();
  }

  hangUp(): void {
    this.set({ talking: false, pressed: false });
    this.ear.close();
    this.link.hangUp();
    this.waiting = [];
  }

  private moved(connection: Connection, problem?: Problem | null): void {
    this.set({ connection, ...(problem === undefined ? {} : { problem }) });
    if (connection.kind === "idle" && this.state.talking) this.quiet();
  }

  /** Say how it is to be, and what was waiting to be said. */
  private settled(transport: Transport): void {
    transport.listen(this.ear.stream);
    transport.mute(this.silent);
    this.commands.configure();
    this.commands.listenBy(!this.manual, true);
    const waiting = this.waiting;
    this.waiting = [];
    for (const event of waiting) transport.send(event);
  }

  // events

  private take(event: ServerEvent): void {
    if (event.type !== "error" || !this.overheard(event.error)) this.dispatch(event);
    this.encore.handle(event);
    if (event.type === "response.created") {
      this.respondAgain = AGAIN_TIMES;
      if (this.state.problem === "limited") this.set({ problem: null });
    }
    // After a push in between, the server finds the ends of turns by itself again.
    if (event.type === "kuaimei.turn.timing" && this.state.talking && !this.manual) this.commands.listenBy(true);
    this.tell(event);
  }

  private tell(event: Happening): void {
    for (const watcher of this.watchers) watcher(event);
  }

  /** Whether an error needs no words of its own. */
  private overheard(error: Failure): boolean {
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
    const { transport, connection } = this.link;
    if (transport && connection.kind === "open") transport.send(event);
    else if (event.type.startsWith("conversation.item.") || event.type === "response.create") this.waiting.push(event);
  }

  // states that follow from others

  private get manual(): boolean {
    return this.outfit.wishes().mode === "push-to-talk" || this.state.pressed;
  }

  /** Nothing may be heard now. */
  private get silent(): boolean {
    return !this.state.talking || (this.manual && !this.state.pressed);
  }

  /** A reply is under way or to be heard. */
  private get answering(): boolean {
    return this.replying || this.encore.item !== null;
  }

  /** … so far as the server knows. */
  private get replying(): boolean {
    const { response, phase, held } = this.state.session;
    return response !== null || phase !== "listening" || held;
  }

  private mute(): void {
    this.link.transport?.mute(this.silent);
  }

  private set(part: Partial<ClientState>): void {
    this.state = { ...this.state, ...part };
    for (const listener of this.listeners) listener();
  }
}
