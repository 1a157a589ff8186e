/** The page's two audio contexts, and loudness metering. */

import { SAMPLE_RATE } from "./pcm";

let captureCtx: AudioContext | undefined;
let outputCtx: AudioContext | undefined;

/** Runs at the rate of the device: not every browser resamples a microphone. */
export function captureContext(): AudioContext {
  captureCtx ??= new AudioContext({ latencyHint: "interactive" });
  return captureCtx;
}

/** Runs at the sample rate of the replies. */
export function outputContext(): AudioContext {
  outputCtx ??= new AudioContext({ latencyHint: "interactive", sampleRate: SAMPLE_RATE });
  return outputCtx;
}

/** Call from a click or key handler: browsers keep audio contexts suspended before. */
export function resumeAudioContexts(): void {
  for (const context of [captureContext(), outputContext()]) {
    if (context.state === "suspended") void context.resume().catch(() => undefined);
  }
}

/** Loudness of a node or stream, 0 to 1, on a scale for display. */
export class LevelMeter {
  private readonly analyser: AnalyserNode;
  private readonly samples: Float32Array<ArrayBuffer>;

  constructor(private readonly source: AudioNode) {
    this.analyser = new AnalyserNode(source.context, { fftSize: 1024 });
    this.samples = new Float32Array(this.analyser.fftSize);
    source.connect(this.analyser);
  }

  static ofStream(stream: MediaStream): LevelMeter {
    return new LevelMeter(captureContext().createMediaStreamSource(stream));
  }

  level(): number {
    this.analyser.getFloatTimeDomainData(this.samples);
    return loudness(this.samples);
  }

  close(): void {
    this.source.disconnect(this.analyser);
  }
}

/** -55 dBFS is 0, -10 dBFS is 1. */
export function loudness(samples: Float32Array): number {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  const db = 10 * Math.log10(sum / Math.max(1, samples.length) + 1e-12);
  return Math.max(0, Math.min(1, (db + 55) / 45));
}
