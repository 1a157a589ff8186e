/** The page's two audio contexts, and how loud something is. */

import { RATE } from "./pcm";

let inside: AudioContext | undefined;
let outside: AudioContext | undefined;

/** At the device's own rate: not every browser resamples a microphone. */
export function captureContext(): AudioContext {
  inside ??= new AudioContext({ latencyHint: "interactive" });
  return inside;
}

/** At the rate of the replies. */
export function outputContext(): AudioContext {
  outside ??= new AudioContext({ latencyHint: "interactive", sampleRate: RATE });
  return outside;
}

/** To be called on a click or key: browsers let no page make sound before. */
export function wakeSound(): void {
  for (const context of [captureContext(), outputContext()]) {
    if (context.state === "suspended") void context.resume().catch(() => undefined);
  }
}

/** Loudness of a node or stream, 0 to 1, as an eye would have it. */
export class Meter {
  private readonly analyser: AnalyserNode;
  private readonly samples: Float32Array<ArrayBuffer>;

  constructor(private readonly source: AudioNode) {
    this.analyser = new AnalyserNode(source.context, { fftSize: 1024 });
    this.samples = new Float32Array(this.analyser.fftSize);
    source.connect(this.analyser);
  }

  static ofStream(stream: MediaStream): Meter {
    return new Meter(captureContext().createMediaStreamSource(stream));
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
