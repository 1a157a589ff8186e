import { IGNORED_ERROR_PREFIX, newId, type ClientEvent } from "./protocol";

export type TalkMode = "hands-free" | "push-to-talk";

/** Preferences of the user that concern the conversation. */
export interface ClientPreferences {
  mode: TalkMode;
  transport: "auto" | "websocket";
  /** Empty: the server's default. */
  voice: string;
  speed: number;
  /** Spoken language; auto: the server chooses for each utterance. */
  language: "auto" | "zh" | "en";
  /** Device id; empty: the system default. */
  microphone: string;
  /** A reply that is still playing continues in its HQ rendering as soon as that is ready. */
  swap: boolean;
}

/** Builds and sends the client events of the protocol. */
export class ClientEventSender {
  private handsFree: boolean | null = null;
  /** Settings that were sent last. */
  private lastSent = "";

  constructor(
    private readonly send: (event: ClientEvent) => void,
    private readonly preferences: () => ClientPreferences,
  ) {}

  /** Send voice, speed and spoken language. */
  configure(): void {
    const { voice, speed, language } = this.preferences();
    this.lastSent = this.currentSettings;
    const transcription = { ...(language === "auto" ? {} : { language }) };
    this.update("configure", { audio: { input: { transcription }, output: { speed } } });
    // In an event of its own: an unknown voice must not make the server reject the rest.
    if (voice) this.update("voice", { audio: { output: { voice } } });
  }

  /** Send the settings again if they have changed since. */
  syncSession(): void {
    if (this.lastSent !== this.currentSettings) this.configure();
  }

  /** Let the server detect the end of turns, or wait for a commit. */
  setTurnDetection(handsFree: boolean, force = false): void {
    if (!force && this.handsFree === handsFree) return;
    this.handsFree = handsFree;
    const turn_detection = handsFree ? { type: "server_vad" } : null;
    this.update("listen", { audio: { input: { turn_detection } } });
  }

  /** Add a typed message to the conversation; returns the item's id. */
  createTextItem(text: string): string {
    const id = newId("item_");
    const item = { id, type: "message", role: "user", content: [{ type: "input_text", text }] };
    this.send({ type: "conversation.item.create", item });
    return id;
  }

  deleteItem(itemId: string): void {
    this.send({ type: "conversation.item.delete", event_id: `${IGNORED_ERROR_PREFIX}delete`, item_id: itemId });
  }

  private get currentSettings(): string {
    const { voice, speed, language } = this.preferences();
    return JSON.stringify([voice, speed, language]);
  }

  private update(name: string, session: Record<string, unknown>): void {
    this.send({ type: "session.update", event_id: `${IGNORED_ERROR_PREFIX}${name}`, session: { type: "realtime", ...session } });
  }
}
