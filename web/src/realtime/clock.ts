import type { ServerEvent } from "./protocol";
import type { Position } from "./transport";

/** Where the listener is in a reply that plays elsewhere, from the events that tell when it starts and stops. */
export class ReplyClock {
  private item: string | null = null;
  /** The reply that it follows. */
  response: string | null = null;
  private atMs = 0;
  private since: number | null = null;

  constructor(private readonly now: () => number = () => performance.now()) {}

  handle(event: ServerEvent): void {
    switch (event.type) {
      case "response.output_item.added":
        this.item = event.item.id;
        this.response = event.response_id;
        this.atMs = 0;
        this.since = null;
        break;
      case "output_audio_buffer.started":
        if (event.response_id === this.response && this.since === null) this.since = this.now();
        break;
      case "output_audio_buffer.stopped":
      case "output_audio_buffer.cleared":
        if (event.response_id === this.response) this.stopAt(this.ms());
        break;
      case "kuaimei.reply.playing":
        if (event.item_id === this.item && this.since !== null) {
          this.atMs = event.played_ms;
          this.since = this.now();
        }
        break;
      case "kuaimei.reply.held":
      case "kuaimei.reply.interrupted":
        if (event.item_id === this.item) this.stopAt(event.heard_ms);
        break;
      case "kuaimei.reply.resumed":
        if (event.item_id === this.item) {
          this.atMs = event.heard_ms;
          this.since = this.now();
        }
        break;
      default:
    }
  }

  position(): Position | null {
    return this.item === null ? null : { itemId: this.item, ms: this.ms(), silent: this.since === null };
  }

  private ms(): number {
    return this.atMs + (this.since === null ? 0 : this.now() - this.since);
  }

  private stopAt(ms: number): void {
    this.atMs = ms;
    this.since = null;
  }
}
