import { LevelMeter, outputContext } from "./audioContext";
import { decodeBase64, SAMPLE_RATE } from "./pcm";
import type { ServerEvent } from "./protocol";
import type { PlaybackPosition } from "./transport";
import playerUrl from "./worklets/player.worklet.ts?worker&url";

interface PlayerReport {
  epoch: number;
  played: number;
  waiting: number;
}

let workletLoaded: Promise<void> | undefined;

/** Plays replies received as `response.output_audio.delta`, and counts what was played. */
export class Player {
  private epoch = 0;
  private itemId: string | null = null;
  private startMs = 0;
  private playedMs = 0;
  private drained = true;
  private readonly stoppedItems = new Set<string>();

  private constructor(
    private readonly node: AudioWorkletNode,
    private readonly meter: LevelMeter,
  ) {
    node.port.onmessage = ({ data }: MessageEvent<PlayerReport>) => {
      if (data.epoch !== this.epoch) return;
      this.playedMs = (data.played / SAMPLE_RATE) * 1000;
      this.drained = data.waiting === 0;
    };
  }

  static async open(): Promise<Player> {
    const context = outputContext();
    workletLoaded ??= context.audioWorklet.addModule(playerUrl);
    await workletLoaded;
    const node = new AudioWorkletNode(context, "kuaimei-player", { numberOfInputs: 0, outputChannelCount: [1] });
    node.connect(context.destination);
    return new Player(node, new LevelMeter(node));
  }

  /** Handle the events that concern playback. */
  handle(event: ServerEvent): void {
    switch (event.type) {
      case "response.output_audio.delta":
        this.enqueue(event.item_id, event.delta);
        break;
      case "kuaimei.reply.held":
        if (event.item_id === this.itemId) this.restartAt(this.heardMs());
        break;
      case "kuaimei.reply.resumed":
        if (event.item_id === this.itemId) this.restartAt(event.heard_ms);
        break;
      case "kuaimei.reply.interrupted":
        this.stoppedItems.add(event.item_id);
        if (event.item_id === this.itemId) this.restartAt(this.heardMs());
        break;
      default:
    }
  }

  /** Stop, and play nothing more of this reply. */
  stopPlayback(): void {
    if (this.itemId === null) return;
    this.stoppedItems.add(this.itemId);
    this.restartAt(this.heardMs());
  }

  position(): PlaybackPosition | null {
    return this.itemId === null ? null : { itemId: this.itemId, ms: this.heardMs(), silent: this.drained };
  }

  level(): number {
    return this.meter.level();
  }

  close(): void {
    this.meter.close();
    this.node.disconnect();
    this.node.port.close();
  }

  private enqueue(itemId: string, delta: string): void {
    if (this.stoppedItems.has(itemId)) return;
    if (itemId !== this.itemId) {
      this.itemId = itemId;
      this.restartAt(0);
    }
    const samples = decodeBase64(delta);
    this.node.port.postMessage({ push: samples }, [samples.buffer]);
  }

  private heardMs(): number {
    const latency = this.playedMs > 0 ? (outputContext().outputLatency || 0) * 1000 : 0;
    return Math.max(this.startMs, this.startMs + this.playedMs - latency);
  }

  /** Drop queued audio; what is queued next begins at `ms` of the reply. */
  private restartAt(ms: number): void {
    this.epoch += 1;
    this.startMs = ms;
    this.playedMs = 0;
    this.drained = true;
    this.node.port.postMessage({ flush: this.epoch });
  }
}
