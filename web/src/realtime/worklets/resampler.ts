/**
 * Downsamples mono audio block by block, without discontinuities between blocks.
 *
 * Averages over the span of each output sample: a sufficient low-pass filter for recognition at 16 kHz.
 */
export class Resampler {
  private readonly step: number;
  private filled = 0;
  private sum = 0;

  constructor(sourceRate: number, targetRate: number) {
    this.step = sourceRate / targetRate;
  }

  push(block: Float32Array): Float32Array {
    if (this.step === 1) return block.slice();
    const out: number[] = [];
    for (const sample of block) {
      let left = 1;
      while (this.filled + left >= this.step) {
        const part = this.step - this.filled;
        out.push((this.sum + sample * part) / this.step);
        left -= part;
        this.filled = 0;
        this.sum = 0;
      }
      this.filled += left;
      this.sum += sample * left;
    }
    return Float32Array.from(out);
  }
}
