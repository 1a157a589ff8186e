import { resumeAudioContexts } from "./audioContext";
import { ClientEventSender } from "./clientEvents";
import type { ClientOptions } from "./clientOptions";
import { ConnectionManager, type ConnectionState } from "./connectionManager";
import { HqSwap } from "./hqSwap";
import { microphoneBlockedBy, MicrophoneError } from "./microphone";
import { MicrophoneInput } from "./microphoneInput";
import { protocolProblem, type Problem } from "./problems";
import { IGNORED_ERROR_PREFIX, type ClientEvent, type ProtocolError, type ServerEvent } from "./protocol";
import { EMPTY_SESSION, reduce, type Message, type SessionAction, type SessionState } from "./session";
import type { PlaybackPosition, Transport } from "./transport";

export interface ClientState {
  connection: ConnectionState;
  session: SessionState;
  /** The microphone is on. */
  talking: boolean;
  /** The user is being asked whether what they say may be stored. */
  askingConsent: boolean;
  /** Push to talk: the key or button is down. */
  pressed: boolean;
  problem: Problem | null;
  /** Item of the reply whose HQ rendering is playing in place of the fast one. */
  hqItemId: string | null;
}

const INITIAL_STATE: ClientState = {
  connection: { kind: "idle" },
  session: EMPTY_SESSION,
  talking: false,
  askingConsent: false,
  pressed: false,
  problem: null,
  hqItemId: null,
};

export type ClientUpdate = ServerEvent | { type: "local.ready" } | { type: "local.voice_deleted"; voice: string };

/** How long a muted microphone keeps sending silence, so that the turn can end by itself. */
const MIC_RELEASE_DELAY_MS = 1_500;
/** Delay before muting: words spoken just before the key was released are still on their way. */
const PUSH_RELEASE_DELAY_MS = 200;
const COMMIT_DELAY_MS = 150;
/** How long the microphone stays open for the next push. */
const MIC_IDLE_RELEASE_MS = 30_000;
const PROBE_INTERVAL_MS = 1_500;
const RETRY_MS = 150;
const MAX_RETRIES = 20;

/** The conversation with the server: its state, and the actions of the user. */
export class RealtimeClient {
  private state: ClientState = INITIAL_STATE;
  private readonly listeners = new Set<() => void>();
  private readonly updateListeners = new Set<(event: ClientUpdate) => void>();
  private readonly connectionManager: ConnectionManager;
  private readonly microphone: MicrophoneInput;
  private readonly sender: ClientEventSender;
  private readonly hqSwap: HqSwap;
  /** Events to be sent once the session is ready. */
  private pendingEvents: ClientEvent[] = [];
  /** The microphone is on for one push only. */
  private singlePush = false;
  private retriesLeft = MAX_RETRIES;
  /** Number of requests for consent that are not answered yet. */
  private pendingConsents = 0;
  /** The microphone is being switched on. */
  private openingMicrophone = false;
  /** Counts the users of this page, one after the other: answers meant for an earlier one are ignored. */
  private visit = 0;
  private probeTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly options: ClientOptions) {
    this.sender = new ClientEventSender((event) => this.send(event), options.preferences);
    this.microphone = new MicrophoneInput(
      (stream) => this.connectionManager.transport?.setMicrophone(stream),
      () => this.setState({ talking: false, pressed: false, problem: "microphone-lost" }),
    );
    this.hqSwap = new HqSwap({
      isEnabled: () => options.preferences().swap,
      fastPosition: () => this.connectionManager.transport?.position() ?? null,
      fastLevel: () => this.connectionManager.transport?.level() ?? 0,
      findMessage: (itemId) => this.state.session.messages.find((message) => message.id === itemId),
      isReplyActive: (itemId) => this.state.session.response?.itemId === itemId,
      stopPlayback: () => this.connectionManager.transport?.stopPlayback(),
      send: (event) => this.send(event),
      loadAudio: options.loadAudio,
      onChange: () => this.setState({ hqItemId: this.hqSwap.itemId }),
    });
    this.connectionManager = new ConnectionManager(options, {
      sessionId: () => this.state.session.id,
      microphone: () => this.microphone.stream,
      muted: () => this.isMuted,
      onStateChange: (state, problem) => this.onConnectionState(state, problem),
      onReady: (transport) => this.onReady(transport),
      onDrop: () => {
        this.hqSwap.clear(); // without a connection no speech would interrupt it
        this.dispatch({ type: "local.disconnected" });
      },
      onGone: () => this.setState({ session: { ...this.state.session, id: null } }),
      onEvent: (event) => this.handleEvent(event),
    });
  }

  // state and events, for components

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  readonly snapshot = (): ClientState => this.state;

  /** Subscribe to server events, after they have taken effect, and to local updates. */
  onUpdate(listener: (event: ClientUpdate) => void): () => void {
    this.updateListeners.add(listener);
    return () => this.updateListeners.delete(listener);
  }

  levels(): { microphone: number; reply: number } {
    const reply = this.hqSwap.itemId === null ? this.connectionManager.transport?.level() : this.hqSwap.level();
    return { microphone: this.isMuted ? 0 : this.microphone.level(), reply: reply ?? 0 };
  }

  position(): PlaybackPosition | null {
    return this.hqSwap.position() ?? this.connectionManager.transport?.position() ?? null;
  }

  dispatch(action: SessionAction): void {
    this.setState({ session: reduce(this.state.session, action) });
  }

  /** Tell the listeners that a voice was deleted, and with it the audio of what was said in it. */
  notifyVoiceDeleted(voice: string): void {
    this.notify({ type: "local.voice_deleted", voice });
  }

  // speaking

  /** Switch the microphone on. */
  async talk(): Promise<void> {
    resumeAudioContexts();
    if (this.openingMicrophone) return;
    const problem = microphoneBlockedBy();
    this.setState({ problem });
    if (problem !== null) return; // no question where there can be no microphone anyway
    this.openingMicrophone = true;
    const visit = this.visit;
    try {
      if (!(await this.requestConsent())) return;
      await this.microphone.open(this.options.preferences().microphone);
      if (visit !== this.visit) {
        this.microphone.close(); // the user has signed out meanwhile
        return;
      }
    } catch (error) {
      this.setState({ talking: false, problem: error instanceof MicrophoneError ? error.problem : "unsupported" });
      return;
    } finally {
      this.openingMicrophone = false;
    }
    this.setState({ talking: true });
    this.sender.setTurnDetection(!this.usesManualTurns);
    this.syncMute();
    await this.connectionManager.connect();
  }

  /** Switch the microphone off; what was being said is still recognised. */
  mute(): void {
    this.setState({ talking: false, pressed: false });
    this.syncMute();
    this.microphone.releaseAfter(MIC_RELEASE_DELAY_MS, () => this.microphone.close());
  }

  /** Push to talk: the key goes down. */
  async press(): Promise<void> {
    if (this.state.pressed) return;
    this.microphone.cancelRelease();
    this.singlePush = !this.state.talking;
    this.setState({ pressed: true });
    if (!this.state.talking) await this.talk();
    if (!this.state.talking) this.setState({ pressed: false });
    if (!this.state.pressed) {
      this.releaseAfterPush(); // released before the microphone was open
      return;
    }
    this.syncSession();
    this.sender.setTurnDetection(false);
    if (this.isReplying) this.stopReply();
    this.syncMute();
  }

  /** … and up again: the utterance is over. */
  release(): void {
    if (!this.state.pressed) return;
    this.setState({ pressed: false });
    setTimeout(() => {
      if (this.state.pressed) return;
      this.releaseAfterPush();
      // After the last audio: audio after the commit would begin an utterance that never ends.
      setTimeout(() => {
        if (this.state.pressed || this.state.connection.kind !== "open") return;
        this.send({ type: "input_audio_buffer.commit", event_id: `${IGNORED_ERROR_PREFIX}commit` });
        this.createResponse();
      }, COMMIT_DELAY_MS);
    }, PUSH_RELEASE_DELAY_MS);
  }

  /** After a push, release the microphone if it is not used again. */
  private releaseAfterPush(): void {
    this.syncMute();
    if (!this.state.talking) return;
    if (this.options.preferences().mode === "push-to-talk") this.microphone.releaseAfter(MIC_IDLE_RELEASE_MS, () => this.mute());
    else if (this.singlePush) this.mute();
  }

  /** Another microphone was chosen. */
  async changeMicrophone(): Promise<void> {
    if (!this.microphone.stream) return;
    this.microphone.close();
    if (this.state.talking) await this.talk();
  }

  // typing, stopping, changing

  /** Send a typed message; false: there was no consent, and the message was removed. */
  async sendText(text: string): Promise<boolean> {
    resumeAudioContexts();
    if (this.isReplying) this.stopReply();
    this.syncSession();
    const id = this.sender.createTextItem(text);
    this.dispatch({ type: "local.typed", id, text });
    this.createResponse();
    if (!(await this.requestConsent())) {
      this.pendingEvents = []; // nothing was sent: there is no connection without consent
      this.dispatch({ type: "local.removed", ids: [id] });
      return false;
    }
    await this.connectionManager.connect();
    return true;
  }

  /** Replace a message by another text; the old one and everything after it are removed. */
  async editMessage(message: Message, text: string): Promise<boolean> {
    const { messages } = this.state.session;
    if (!(await this.requestConsent())) return false;
    const from = messages.findIndex((one) => one.id === message.id);
    const ids = from < 0 ? [] : messages.slice(from).map((one) => one.id);
    if (this.isReplying) this.stopReply();
    for (const id of ids) this.sender.deleteItem(id);
    this.dispatch({ type: "local.removed", ids });
    return this.sendText(text);
  }

  /** Ask for consent, unless it was given already. */
  private async requestConsent(): Promise<boolean> {
    const visit = this.visit;
    this.pendingConsents += 1;
    this.setState({ askingConsent: true });
    try {
      return (await this.options.requestConsent()) && visit === this.visit;
    } finally {
      this.pendingConsents -= 1;
      this.setState({ askingConsent: this.pendingConsents > 0 });
    }
  }

  /** Stop the reply: silence at once. */
  stopReply(): void {
    this.connectionManager.transport?.stopPlayback();
    if (this.isServerReplying || this.hqSwap.itemId === null) {
      this.send({ type: "response.cancel", event_id: `${IGNORED_ERROR_PREFIX}cancel` });
    }
    this.hqSwap.stop();
  }

  /** Send changed settings: a slider that is still being dragged has not called `applyPreferences`. */
  private syncSession(): void {
    if (this.state.connection.kind === "open") this.sender.syncSession();
  }

  /** Send the settings after voice, speed, language or mode have been changed. */
  applyPreferences(): void {
    if (this.state.connection.kind !== "open") return;
    this.sender.configure();
    if (this.state.talking) this.sender.setTurnDetection(!this.usesManualTurns);
    this.syncMute();
  }

  // the session and its connection

  /** Leave this session for another (or a new one); the connection ends. */
  openSession(sessionId: string | null, messages: Message[]): void {
    this.hangUp();
    const loaded = sessionId === null ? EMPTY_SESSION : reduce(EMPTY_SESSION, { type: "local.loaded", session: sessionId, messages });
    this.setState({ session: loaded, problem: null });
  }

  /** Continue here a session that another page or device is connected to. */
  async takeOver(): Promise<void> {
    this.connectionManager.setOwnedSession(this.state.session.id);
    this.setState({ problem: null });
    await this.connectionManager.connect();
  }

  /** Show whether the server is unreachable, loading or needs a key; repeated until it is ready. */
  async probeServer(): Promise<void> {
    if (this.state.connection.kind !== "idle") return;
    const visit = this.visit;
    const { problem } = await this.options.probe();
    if (visit !== this.visit || this.state.connection.kind !== "idle") return;
    const waiting = this.state.problem === "loading" || this.state.problem === "offline";
    if (problem !== null || waiting) this.setState({ problem });
    if (problem !== null && problem !== "key") this.probeTimer = setTimeout(() => void this.probeServer(), PROBE_INTERVAL_MS);
    else if (waiting) this.notify({ type: "local.ready" });
  }

  /** Drop all state of the conversation: playback, microphone and connection end at once. */
  reset(): void {
    this.visit += 1;
    clearTimeout(this.probeTimer);
    this.hangUp();
    this.connectionManager.setOwnedSession(null);
    this.hqSwap.clear();
    this.setState(INITIAL_STATE);
  }

  dismiss(): void {
    this.dispatch({ type: "local.dismissed" });
    this.setState({ problem: null });
  }

  /** Retry the connection now. */
  retry(): void {
    this.setState({ problem: null });
    this.connectionManager.retry();
  }

  hangUp(): void {
    this.setState({ talking: false, pressed: false });
    this.microphone.close();
    this.connectionManager.hangUp();
    this.pendingEvents = [];
  }

  private onConnectionState(state: ConnectionState, problem?: Problem | null): void {
    this.setState({ connection: state, ...(problem === undefined ? {} : { problem }) });
    if (state.kind === "idle" && this.state.talking) this.mute();
  }

  /** Send the settings and the events that were waiting. */
  private onReady(transport: Transport): void {
    transport.setMicrophone(this.microphone.stream);
    transport.setMuted(this.isMuted);
    this.sender.configure();
    this.sender.setTurnDetection(!this.usesManualTurns, true);
    const pending = this.pendingEvents;
    this.pendingEvents = [];
    for (const event of pending) transport.send(event);
  }

  // events

  private handleEvent(event: ServerEvent): void {
    if (event.type !== "error" || !this.onServerError(event.error)) this.dispatch(event);
    this.hqSwap.handle(event);
    if (event.type === "response.created") {
      this.retriesLeft = MAX_RETRIES;
      if (this.state.problem === "limited") this.setState({ problem: null });
    }
    // After a push in hands-free mode, let the server detect turns again.
    if (event.type === "kuaimei.turn.timing" && this.state.talking && !this.usesManualTurns) this.sender.setTurnDetection(true);
    this.notify(event);
  }

  private notify(event: ClientUpdate): void {
    for (const listener of this.updateListeners) listener(event);
  }

  /** Handle an error of the server; true: it is not to be shown as such. */
  private onServerError(error: ProtocolError): boolean {
    if (error.code === "conversation_already_has_active_response" && this.retriesLeft > 0) {
      this.retriesLeft -= 1;
      setTimeout(() => this.send({ type: "response.create" }), RETRY_MS);
      return true;
    }
    const problem = protocolProblem(error.code);
    if (problem !== null) this.setState({ problem });
    return problem !== null || error.code === "session_not_found" || (error.event_id ?? "").startsWith(IGNORED_ERROR_PREFIX);
  }

  private createResponse(): void {
    this.retriesLeft = MAX_RETRIES;
    this.send({ type: "response.create" });
  }

  private send(event: ClientEvent): void {
    const { transport, state } = this.connectionManager;
    if (transport && state.kind === "open") transport.send(event);
    else if (event.type.startsWith("conversation.item.") || event.type === "response.create") this.pendingEvents.push(event);
  }

  // derived state

  private get usesManualTurns(): boolean {
    return this.options.preferences().mode === "push-to-talk" || this.state.pressed;
  }

  /** True if the microphone's audio must not be sent. */
  private get isMuted(): boolean {
    return !this.state.talking || (this.usesManualTurns && !this.state.pressed);
  }

  /** True while a reply is in progress or audible. */
  private get isReplying(): boolean {
    return this.isServerReplying || this.hqSwap.itemId !== null;
  }

  /** True while the server considers the reply in progress. */
  private get isServerReplying(): boolean {
    const { response, phase, held } = this.state.session;
    return response !== null || phase !== "listening" || held;
  }

  private syncMute(): void {
    this.connectionManager.transport?.setMuted(this.isMuted);
  }

  private setState(part: Partial<ClientState>): void {
    this.state = { ...this.state, ...part };
    for (const listener of this.listeners) listener();
  }
}
