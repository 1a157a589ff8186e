import { Resampler } from "./resampler";

const TARGET_RATE = 24_000;
const BLOCK = TARGET_RATE / 50; // 20 ms

/** Delivers the microphone's audio as 24 kHz, 16-bit blocks. */
class Recorder extends AudioWorkletProcessor {
  private readonly resampler = new Resampler(sampleRate, TARGET_RATE);
  private block = new Int16Array(BLOCK);
  private filled = 0;

  process(inputs: Float32Array[][]): boolean {
    const input = inputs[0]?.[0];
    if (!input) return true;
    for (const sample of this.resampler.push(input)) {
      this.block[this.filled] = Math.round(Math.max(-1, Math.min(1, sample)) * 32767);
      this.filled += 1;
      if (this.filled === BLOCK) {
        this.port.postMessage(this.block, [this.block.buffer]);
        this.block = new Int16Array(BLOCK);
        this.filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("kuaimei-recorder", Recorder);
