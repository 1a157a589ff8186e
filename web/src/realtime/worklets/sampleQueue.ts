/** Queue of samples to be played; can be flushed without an audible click. */
export class SampleQueue {
  private blocks: Float32Array[] = [];
  private offset = 0;
  private fade = 0;
  private tail: Float32Array = new Float32Array(0);
  /** Samples played since the last `flush`. */
  played = 0;

  /** @param fadeSamples Length of the fade with which `flush` ends the sound. */
  constructor(private readonly fadeSamples: number) {}

  push(block: Float32Array): void {
    if (block.length > 0) this.blocks.push(block);
  }

  get waiting(): number {
    return this.blocks.reduce((sum, block) => sum + block.length, 0) - this.offset;
  }

  /** Drop everything but a short fade-out. */
  flush(): void {
    this.tail = this.take(Math.min(this.fadeSamples, this.waiting));
    this.fade = 0;
    this.blocks = [];
    this.offset = 0;
    this.played = 0;
  }

  /** Fill `out`; silence where the queue is empty. */
  fill(out: Float32Array): void {
    out.fill(0);
    for (let i = 0; i < out.length && this.fade < this.tail.length; i += 1) {
      out[i] = (this.tail[this.fade] ?? 0) * (1 - (this.fade + 1) / this.tail.length);
      this.fade += 1;
    }
    const next = this.take(Math.min(out.length, this.waiting));
    for (let i = 0; i < next.length; i += 1) out[i] = (out[i] ?? 0) + (next[i] ?? 0);
    this.played += next.length;
  }

  private take(count: number): Float32Array {
    const out = new Float32Array(count);
    let at = 0;
    while (at < count) {
      const block = this.blocks[0];
      if (!block) break;
      const part = block.subarray(this.offset, this.offset + count - at);
      out.set(part, at);
      at += part.length;
      this.offset += part.length;
      if (this.offset >= block.length) {
        this.blocks.shift();
        this.offset = 0;
      }
    }
    return out;
  }
}
