import { Meter, outputContext } from "./sound";

/** A recording that can be played from anywhere, silenced in an instant and gone on with. */
export interface Sounding {
  /** @param ended Told when it has been heard to its end. */
  play(fromMs: number, ended: () => void): void;
  pause(): void;
  resume(): void;
  stop(): void;
  /** Where in the recording the listener is. */
  ms(): number;
  level(): number;
}

const FADE_S = 0.006;

/** A decoded recording on the page's output. */
export class Rendition implements Sounding {
  private gain: GainNode | null = null;
  private meter: Meter | null = null;
  private node: AudioBufferSourceNode | null = null;
  private fromMs = 0;
  private startedAt = 0;
  private ended: () => void = () => undefined;

  private constructor(private readonly buffer: AudioBuffer) {}

  static async decode(data: ArrayBuffer): Promise<Rendition> {
    return new Rendition(await outputContext().decodeAudioData(data));
  }

  play(fromMs: number, ended: () => void): void {
    this.fromMs = fromMs;
    this.ended = ended;
    this.gain = outputContext().createGain();
    this.gain.connect(outputContext().destination);
    this.meter = new Meter(this.gain);
    this.resume();
  }

  pause(): void {
    this.fromMs = this.ms();
    this.silence();
  }

  resume(): void {
    const { gain } = this;
    if (this.node || !gain) return;
    const context = outputContext();
    const node = new AudioBufferSourceNode(context, { buffer: this.buffer });
    node.connect(gain);
    node.onended = () => {
      if (this.node === node) this.ended();
    };
    const now = context.currentTime;
    gain.gain.cancelScheduledValues(now);
    gain.gain.setValueAtTime(0, now);
    gain.gain.linearRampToValueAtTime(1, now + FADE_S);
    node.start(now, this.fromMs / 1000);
    this.node = node;
    this.startedAt = now;
  }

  stop(): void {
    this.silence();
    const { gain, meter } = this;
    this.gain = null;
    setTimeout(() => {
      meter?.close();
      gain?.disconnect();
    }, FADE_S * 4_000);
  }

  ms(): number {
    if (!this.node) return this.fromMs;
    const context = outputContext();
    const heard = context.currentTime - this.startedAt - (context.outputLatency || 0);
    return Math.min(this.buffer.duration * 1000, this.fromMs + Math.max(0, heard) * 1000);
  }

  level(): number {
    return this.node && this.meter ? this.meter.level() : 0;
  }

  private silence(): void {
    const { node, gain } = this;
    if (!node || !gain) return;
    this.node = null;
    const now = outputContext().currentTime;
    gain.gain.cancelScheduledValues(now);
    gain.gain.setValueAtTime(1, now);
    gain.gain.linearRampToValueAtTime(0, now + FADE_S);
    node.stop(now + FADE_S);
  }
}
