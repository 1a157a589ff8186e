import type { ServerEvent } from "./protocol";
import type { PlaybackPosition } from "./transport";

/** Position of the listener in a reply played by the browser, from events that report its start and stop. */
export class PlaybackClock {
  private itemId: string | null = null;
  /** The response that is being followed. */
  responseId: string | null = null;
  private atMs = 0;
  private playingSince: number | null = null;

  constructor(private readonly now: () => number = () => performance.now()) {}

  handle(event: ServerEvent): void {
    switch (event.type) {
      case "response.output_item.added":
        this.itemId = event.item.id;
        this.responseId = event.response_id;
        this.atMs = 0;
        this.playingSince = null;
        break;
      case "output_audio_buffer.started":
        if (event.response_id === this.responseId && this.playingSince === null) this.playingSince = this.now();
        break;
      case "output_audio_buffer.stopped":
      case "output_audio_buffer.cleared":
        if (event.response_id === this.responseId) this.stopAt(this.ms());
        break;
      case "kuaimei.reply.playing":
        if (event.item_id === this.itemId && this.playingSince !== null) {
          this.atMs = event.played_ms;
          this.playingSince = this.now();
        }
        break;
      case "kuaimei.reply.held":
      case "kuaimei.reply.interrupted":
        if (event.item_id === this.itemId) this.stopAt(event.heard_ms);
        break;
      case "kuaimei.reply.resumed":
        if (event.item_id === this.itemId) {
          this.atMs = event.heard_ms;
          this.playingSince = this.now();
        }
        break;
      default:
    }
  }

  position(): PlaybackPosition | null {
    return this.itemId === null ? null : { itemId: this.itemId, ms: this.ms(), silent: this.playingSince === null };
  }

  private ms(): number {
    return this.atMs + (this.playingSince === null ? 0 : this.now() - this.playingSince);
  }

  private stopAt(ms: number): void {
    this.atMs = ms;
    this.playingSince = null;
  }
}
