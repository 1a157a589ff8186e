import { anchors, nextAnchor, toFastMs, type Anchor } from "./anchors";
import { QUIET, type ClientEvent, type HqReady, type ServerEvent } from "./protocol";
import type { Line } from "./session";
import type { Sounding } from "./rendition";
import type { Position } from "./transport";

/** What the encore needs of the house around it. */
export interface Stage {
  /** Replies are to be replaced while they are still being spoken. */
  wanted: () => boolean;
  /** Where the listener is in the fast rendering. */
  position: () => Position | null;
  /** Loudness of the fast rendering now, 0 to 1. */
  level: () => number;
  line: (item: string) => Line | undefined;
  /** The server has not come to the end of this reply. */
  alive: (item: string) => boolean;
  /** Nothing more of the fast rendering is heard. */
  hush: () => void;
  send: (event: ClientEvent) => void;
  /** Fetches and decodes a recording. */
  load: (audio: string) => Promise<Sounding>;
  /** Another rendering is heard now than before, or none. */
  changed: () => void;
}

const LOOK_MS = 20;
/** The sound lags behind what is known of it, more or less: the change is made where it is quiet. */
const EARLY_MS = 60;
const LATE_MS = 140;
const SILENT = 0.06;

/** The beautiful rendering of the reply that is being spoken: takes over between two clauses. */
export class Encore {
  /** The reply whose beautiful rendering is being heard, or pauses. */
  item: string | null = null;
  private found: Anchor[] = [];
  private sound: Sounding | null = null;
  private paused = false;
  /** What was heard of a reply that was stopped here, until the server has stopped it too. */
  private last: Position | null = null;
  /** Counts what was begun: what an older beginning still brings is nobody's business. */
  private generation = 0;
  private looking: ReturnType<typeof setInterval> | undefined;

  constructor(private readonly stage: Stage) {}

  level(): number {
    return this.sound?.level() ?? 0;
  }

  /** In milliseconds of the fast rendering, which is what the server counts in; null: it is not heard. */
  position(): Position | null {
    if (this.item === null || this.sound === null) return null;
    return { itemId: this.item, ms: toFastMs(this.found, this.sound.ms()), silent: this.paused };
  }

  handle(event: ServerEvent): void {
    switch (event.type) {
      case "kuaimei.reply.hq_ready":
        void this.prepare(event);
        break;
      case "kuaimei.reply.held":
        if (event.item_id === this.item) this.pause();
        break;
      // The server may have come to the end of its own rendering: then there is nothing it could hold.
      case "input_audio_buffer.speech_started":
        if (!this.alive) this.pause();
        break;
      case "kuaimei.reply.resumed":
      case "kuaimei.speech.dropped":
        this.resume();
        break;
      case "kuaimei.reply.interrupted":
        this.interrupted(event.item_id);
        break;
      case "input_audio_buffer.committed":
        if (!this.alive) this.stop();
        break;
      case "response.output_item.added":
        if (event.item.id !== this.item) this.stop();
        break;
      default:
    }
  }

  /** Silence at once; the server learns what was heard. */
  stop(): void {
    const heard = this.position();
    if (heard && this.alive) this.last = heard;
    else if (heard) this.account(heard);
    this.forget();
  }

  /** Silence at once, and nothing more of it. */
  forget(): void {
    this.generation += 1;
    clearInterval(this.looking);
    const sounded = this.item !== null;
    this.sound?.stop();
    this.sound = null;
    this.item = null;
    this.paused = false;
    if (sounded) this.stage.changed();
  }

  /** Fetch it while the fast one is still being spoken, and wait for the end of a clause. */
  private async prepare(ready: HqReady): Promise<void> {
    // One that is being heard is not replaced by a newer one.
    if (this.item === ready.item_id || !this.stage.wanted() || !this.sounds(ready.item_id)) return;
    this.forget();
    const mine = this.generation;
    let sound: Sounding;
    try {
      sound = await this.stage.load(ready.audio);
    } catch {
      return; // the fast rendering goes on
    }
    const clauses = ready.clauses.map(({ index, start_ms, end_ms }) => ({ index, startMs: start_ms, endMs: end_ms }));
    if (mine !== this.generation) return;
    this.looking = setInterval(() => {
      if (!this.sounds(ready.item_id)) {
        this.forget();
        return;
      }
      if (this.stage.position()?.silent) return; // held, or more has yet to come
      const fast = this.stage.line(ready.item_id)?.clauses ?? [];
      this.found = anchors(fast, clauses);
      const ms = this.stage.position()?.ms ?? 0;
      const due = nextAnchor(this.found, ms - LATE_MS);
      if (!due || ms < due.fastMs - EARLY_MS) return;
      // Nearly missed: it was said already when the sound came.
      if (ms < due.fastMs + LATE_MS - LOOK_MS * 2 && this.stage.level() > SILENT) return;
      this.begin(ready.item_id, sound, due.hqMs);
    }, LOOK_MS);
  }

  private begin(item: string, sound: Sounding, fromMs: number): void {
    clearInterval(this.looking);
    const mine = this.generation;
    this.stage.hush();
    this.item = item;
    this.sound = sound;
    sound.play(fromMs, () => {
      if (mine === this.generation) this.forget();
    });
    this.stage.changed();
  }

  private pause(): void {
    if (this.sound === null || this.paused) return;
    this.paused = true;
    this.sound.pause();
    this.stage.changed();
  }

  private resume(): void {
    if (this.sound === null || !this.paused) return;
    this.paused = false;
    this.sound.resume();
    this.stage.changed();
  }

  private interrupted(item: string): void {
    const heard = this.position() ?? this.last;
    this.last = null;
    if (heard?.itemId === item) this.account(heard);
    this.forget();
  }

  private account(heard: Position): void {
    this.stage.send({
      type: "conversation.item.truncate",
      event_id: `${QUIET}truncate`,
      item_id: heard.itemId,
      content_index: 0,
      audio_end_ms: Math.floor(heard.ms),
    });
  }

  private get alive(): boolean {
    return this.item !== null && this.stage.alive(this.item);
  }

  /** The fast rendering is being spoken. */
  private sounds(item: string): boolean {
    const position = this.stage.position();
    const line = this.stage.line(item);
    if (line === undefined || position?.itemId !== item) return false;
    return line.status === "writing" || (line.status === "done" && !position.silent);
  }
}
