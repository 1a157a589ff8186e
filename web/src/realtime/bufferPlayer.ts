import { LevelMeter, outputContext } from "./audioContext";

/** A recording that can be played from any position, paused and resumed. */
export interface PlayableAudio {
  /** @param onEnded Called when it has been played to its end. */
  play(fromMs: number, onEnded: () => void): void;
  pause(): void;
  resume(): void;
  stop(): void;
  /** Position of the listener in the recording. */
  positionMs(): number;
  level(): number;
}

const FADE_S = 0.006;

/** Plays a decoded recording on the page's output. */
export class BufferPlayer implements PlayableAudio {
  private gain: GainNode | null = null;
  private meter: LevelMeter | null = null;
  private node: AudioBufferSourceNode | null = null;
  private fromMs = 0;
  private startedAt = 0;
  private onEnded: () => void = () => undefined;

  private constructor(private readonly buffer: AudioBuffer) {}

  static async decode(data: ArrayBuffer): Promise<BufferPlayer> {
    return new BufferPlayer(await outputContext().decodeAudioData(data));
  }

  play(fromMs: number, onEnded: () => void): void {
    this.fromMs = fromMs;
    this.onEnded = onEnded;
    this.gain = outputContext().createGain();
    this.gain.connect(outputContext().destination);
    this.meter = new LevelMeter(this.gain);
    this.resume();
  }

  pause(): void {
    this.fromMs = this.positionMs();
    this.fadeOut();
  }

  resume(): void {
    const { gain } = this;
    if (this.node || !gain) return;
    const context = outputContext();
    const node = new AudioBufferSourceNode(context, { buffer: this.buffer });
    node.connect(gain);
    node.onended = () => {
      if (this.node === node) this.onEnded();
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
    this.fadeOut();
    const { gain, meter } = this;
    this.gain = null;
    setTimeout(() => {
      meter?.close();
      gain?.disconnect();
    }, FADE_S * 4_000);
  }

  positionMs(): number {
    if (!this.node) return this.fromMs;
    const context = outputContext();
    const heard = context.currentTime - this.startedAt - (context.outputLatency || 0);
    return Math.min(this.buffer.duration * 1000, this.fromMs + Math.max(0, heard) * 1000);
  }

  level(): number {
    return this.node && this.meter ? this.meter.level() : 0;
  }

  private fadeOut(): void {
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
