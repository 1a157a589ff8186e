import { fromBase64, RATE } from "./pcm";
import type { ServerEvent } from "./protocol";
import { Meter, outputContext } from "./sound";
import type { Position } from "./transport";
import playerUrl from "./worklets/player.worklet.ts?worker&url";

interface Report {
  epoch: number;
  played: number;
  waiting: number;
}

let loading: Promise<void> | undefined;

/** Plays the replies that come as `response.output_audio.delta`, and knows what was really heard. */
export class Player {
  private epoch = 0;
  private item: string | null = null;
  private startMs = 0;
  private playedMs = 0;
  private empty = true;
  private readonly dead = new Set<string>();

  private constructor(
    private readonly node: AudioWorkletNode,
    private readonly meter: Meter,
  ) {
    node.port.onmessage = ({ data }: MessageEvent<Report>) => {
      if (data.epoch !== this.epoch) return;
      this.playedMs = (data.played / RATE) * 1000;
      this.empty = data.waiting === 0;
    };
  }

  static async open(): Promise<Player> {
    const context = outputContext();
    loading ??= context.audioWorklet.addModule(playerUrl);
    await loading;
    const node = new AudioWorkletNode(context, "kuaimei-player", { numberOfInputs: 0, outputChannelCount: [1] });
    node.connect(context.destination);
    return new Player(node, new Meter(node));
  }

  /** Take from the server's events what concerns the sound. */
  handle(event: ServerEvent): void {
    switch (event.type) {
      case "response.output_audio.delta":
        this.play(event.item_id, event.delta);
        break;
      case "kuaimei.reply.held":
        if (event.item_id === this.item) this.stopAt(this.heardMs());
        break;
      case "kuaimei.reply.resumed":
        if (event.item_id === this.item) this.stopAt(event.heard_ms);
        break;
      case "kuaimei.reply.interrupted":
        this.dead.add(event.item_id);
        if (event.item_id === this.item) this.stopAt(this.heardMs());
        break;
      default:
    }
  }

  /** Silence; nothing more of this reply will be heard. */
  hush(): void {
    if (this.item === null) return;
    this.dead.add(this.item);
    this.stopAt(this.heardMs());
  }

  position(): Position | null {
    return this.item === null ? null : { itemId: this.item, ms: this.heardMs(), silent: this.empty };
  }

  level(): number {
    return this.meter.level();
  }

  close(): void {
    this.meter.close();
    this.node.disconnect();
    this.node.port.close();
  }

  private play(item: string, delta: string): void {
    if (this.dead.has(item)) return;
    if (item !== this.item) {
      this.item = item;
      this.stopAt(0);
    }
    const samples = fromBase64(delta);
    this.node.port.postMessage({ push: samples }, [samples.buffer]);
  }

  private heardMs(): number {
    const latency = this.playedMs > 0 ? (outputContext().outputLatency || 0) * 1000 : 0;
    return Math.max(this.startMs, this.startMs + this.playedMs - latency);
  }

  /** Drop what waits; what comes next begins at `ms` of the reply. */
  private stopAt(ms: number): void {
    this.epoch += 1;
    this.startMs = ms;
    this.playedMs = 0;
    this.empty = true;
    this.node.port.postMessage({ flush: this.epoch });
  }
}
