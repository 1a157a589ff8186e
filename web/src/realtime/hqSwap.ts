import type { PlayableAudio } from "./bufferPlayer";
import { alignClauses, nextAlignmentPoint, toFastMs, type AlignmentPoint } from "./clauseAlignment";
import { IGNORED_ERROR_PREFIX, type ClientEvent, type HqReady, type ServerEvent } from "./protocol";
import type { Message } from "./session";
import type { PlaybackPosition } from "./transport";

/** Callbacks of the host. */
export interface HqSwapHost {
  /** The user wants replies to be swapped while they are playing. */
  isEnabled: () => boolean;
  /** Position of the listener in the fast rendering. */
  fastPosition: () => PlaybackPosition | null;
  /** Loudness of the fast rendering now, 0 to 1. */
  fastLevel: () => number;
  findMessage: (itemId: string) => Message | undefined;
  /** The server considers this reply in progress. */
  isReplyActive: (itemId: string) => boolean;
  /** Stop the fast rendering. */
  stopPlayback: () => void;
  send: (event: ClientEvent) => void;
  /** Fetch and decode a recording. */
  loadAudio: (audio: string) => Promise<PlayableAudio>;
  /** The HQ rendering has started, paused, resumed or stopped. */
  onChange: () => void;
}

const POLL_MS = 20;
/** The reported position is only roughly that of the audio: swap within this window, where it is quiet. */
const MAX_EARLY_MS = 60;
const MAX_LATE_MS = 140;
const SILENCE_LEVEL = 0.06;

/** Swaps the playing reply for its HQ rendering at a clause boundary. */
export class HqSwap {
  /** Item of the reply whose HQ rendering is playing or paused. */
  itemId: string | null = null;
  private alignment: AlignmentPoint[] = [];
  private audio: PlayableAudio | null = null;
  private paused = false;
  /** Position at which the user stopped the reply, until the server has stopped it too. */
  private lastHeard: PlaybackPosition | null = null;
  /** Counts the swaps: callbacks of earlier ones are ignored. */
  private generation = 0;
  private pollTimer: ReturnType<typeof setInterval> | undefined;

  constructor(private readonly host: HqSwapHost) {}

  level(): number {
    return this.audio?.level() ?? 0;
  }

  /** Position in the fast rendering, which is what the server counts in; null: nothing is playing. */
  position(): PlaybackPosition | null {
    if (this.itemId === null || this.audio === null) return null;
    return { itemId: this.itemId, ms: toFastMs(this.alignment, this.audio.positionMs()), silent: this.paused };
  }

  handle(event: ServerEvent): void {
    switch (event.type) {
      case "kuaimei.reply.hq_ready":
        void this.prepare(event);
        break;
      case "kuaimei.reply.held":
        if (event.item_id === this.itemId) this.pause();
        break;
      // If the server has finished the fast rendering, it does not report the reply as held.
      case "input_audio_buffer.speech_started":
        if (!this.isActive) this.pause();
        break;
      case "kuaimei.reply.resumed":
      case "kuaimei.speech.dropped":
        this.resume();
        break;
      case "kuaimei.reply.interrupted":
        this.onInterrupted(event.item_id);
        break;
      case "input_audio_buffer.committed":
        if (!this.isActive) this.stop();
        break;
      case "response.output_item.added":
        if (event.item.id !== this.itemId) this.stop();
        break;
      default:
    }
  }

  /** Stop playback and report to the server how much was heard. */
  stop(): void {
    const heard = this.position();
    if (heard && this.isActive) this.lastHeard = heard;
    else if (heard) this.truncate(heard);
    this.clear();
  }

  /** Stop playback, and report nothing. */
  clear(): void {
    this.generation += 1;
    clearInterval(this.pollTimer);
    const wasAudible = this.itemId !== null;
    this.audio?.stop();
    this.audio = null;
    this.itemId = null;
    this.paused = false;
    if (wasAudible) this.host.onChange();
  }

  /** Fetch the HQ rendering while the fast one is playing, and wait for a clause boundary. */
  private async prepare(ready: HqReady): Promise<void> {
    // A rendering that is playing is not replaced by a newer one.
    if (this.itemId === ready.item_id || !this.host.isEnabled() || !this.isPlaying(ready.item_id)) return;
    this.clear();
    const generation = this.generation;
    let audio: PlayableAudio;
    try {
      audio = await this.host.loadAudio(ready.audio);
    } catch {
      return; // the fast rendering continues
    }
    const clauses = ready.clauses.map(({ index, start_ms, end_ms }) => ({ index, startMs: start_ms, endMs: end_ms }));
    if (generation !== this.generation) return;
    this.pollTimer = setInterval(() => {
      if (!this.isPlaying(ready.item_id)) {
        this.clear();
        return;
      }
      if (this.host.fastPosition()?.silent) return; // held, or waiting for more audio
      const fast = this.host.findMessage(ready.item_id)?.clauses ?? [];
      this.alignment = alignClauses(fast, clauses);
      const ms = this.host.fastPosition()?.ms ?? 0;
      const due = nextAlignmentPoint(this.alignment, ms - MAX_LATE_MS);
      if (!due || ms < due.fastMs - MAX_EARLY_MS) return;
      // Wait for a pause, unless the window is about to close.
      if (ms < due.fastMs + MAX_LATE_MS - POLL_MS * 2 && this.host.fastLevel() > SILENCE_LEVEL) return;
      this.start(ready.item_id, audio, due.hqMs);
    }, POLL_MS);
  }

  private start(itemId: string, audio: PlayableAudio, fromMs: number): void {
    clearInterval(this.pollTimer);
    const generation = this.generation;
    this.host.stopPlayback();
    this.itemId = itemId;
    this.audio = audio;
    audio.play(fromMs, () => {
      if (generation === this.generation) this.clear();
    });
    this.host.onChange();
  }

  private pause(): void {
    if (this.audio === null || this.paused) return;
    this.paused = true;
    this.audio.pause();
    this.host.onChange();
  }

  private resume(): void {
    if (this.audio === null || !this.paused) return;
    this.paused = false;
    this.audio.resume();
    this.host.onChange();
  }

  private onInterrupted(itemId: string): void {
    const heard = this.position() ?? this.lastHeard;
    this.lastHeard = null;
    if (heard?.itemId === itemId) this.truncate(heard);
    this.clear();
  }

  private truncate(heard: PlaybackPosition): void {
    this.host.send({
      type: "conversation.item.truncate",
      event_id: `${IGNORED_ERROR_PREFIX}truncate`,
      item_id: heard.itemId,
      content_index: 0,
      audio_end_ms: Math.floor(heard.ms),
    });
  }

  private get isActive(): boolean {
    return this.itemId !== null && this.host.isReplyActive(this.itemId);
  }

  /** True while the fast rendering is playing. */
  private isPlaying(itemId: string): boolean {
    const position = this.host.fastPosition();
    const message = this.host.findMessage(itemId);
    if (message === undefined || position?.itemId !== itemId) return false;
    return message.status === "writing" || (message.status === "done" && !position.silent);
  }
}
