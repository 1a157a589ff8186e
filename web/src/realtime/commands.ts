import { newId, QUIET, type ClientEvent } from "./protocol";

export type Mode = "hands-free" | "push-to-talk";

/** How the person at this page wants to talk. */
export interface Wishes {
  mode: Mode;
  transport: "auto" | "websocket";
  /** Empty: the server's own choice. */
  voice: string;
  speed: number;
  /** Spoken language; auto: the server chooses for each utterance. */
  language: "auto" | "zh" | "en";
  /** Device id; empty: the system's. */
  microphone: string;
  /** A reply that is still being spoken goes on in its beautiful rendering as soon as there is one. */
  swap: boolean;
}

/** What the page asks of the server, in the words of the protocol. */
export class Commands {
  private handsFree: boolean | null = null;
  /** What the server was told last. */
  private told = "";

  constructor(
    private readonly send: (event: ClientEvent) => void,
    private readonly wishes: () => Wishes,
  ) {}

  /** Say how replies are to sound and what language to expect. */
  configure(): void {
    const { voice, speed, language } = this.wishes();
    this.told = this.wanted;
    const transcription = { ...(language === "auto" ? {} : { language }) };
    this.update("configure", { audio: { input: { transcription }, output: { speed } } });
    // On its own: a voice the server no longer has must not spoil the rest.
    if (voice) this.update("voice", { audio: { output: { voice } } });
  }

  /** Say it again if it is wished otherwise by now: before the next message, whoever changed it. */
  keepUp(): void {
    if (this.told !== this.wanted) this.configure();
  }

  /** Let the server find out when somebody has finished, or wait to be told. */
  listenBy(handsFree: boolean, anew = false): void {
    if (!anew && this.handsFree === handsFree) return;
    this.handsFree = handsFree;
    const turn_detection = handsFree ? { type: "server_vad" } : null;
    this.update("listen", { audio: { input: { turn_detection } } });
  }

  /** Add what was typed to the conversation; its id. */
  type(text: string): string {
    const id = newId("item_");
    const item = { id, type: "message", role: "user", content: [{ type: "input_text", text }] };
    this.send({ type: "conversation.item.create", item });
    return id;
  }

  forget(item: string): void {
    this.send({ type: "conversation.item.delete", event_id: `${QUIET}delete`, item_id: item });
  }

  private get wanted(): string {
    const { voice, speed, language } = this.wishes();
    return JSON.stringify([voice, speed, language]);
  }

  private update(name: string, session: Record<string, unknown>): void {
    this.send({ type: "session.update", event_id: `${QUIET}${name}`, session: { type: "realtime", ...session } });
  }
}
