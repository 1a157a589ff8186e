import { describe, expect, it } from "vitest";

import { SampleQueue } from "./sampleQueue";

describe("the sample queue", () => {
  it("is played in order, counted, and followed by silence", () => {
    const queue = new SampleQueue(4);
    queue.push(Float32Array.of(1, 2, 3));
    queue.push(Float32Array.of(4, 5));
    const out = new Float32Array(4);
    queue.fill(out);
    expect([...out]).toEqual([1, 2, 3, 4]);
    expect(queue.waiting).toBe(1);
    queue.fill(out);
    expect([...out]).toEqual([5, 0, 0, 0]);
    expect(queue.played).toBe(5);
  });

  it("is empty after a flush, except for a short fade-out that is not counted", () => {
    const queue = new SampleQueue(4);
    queue.push(new Float32Array(1000).fill(1));
    queue.fill(new Float32Array(10));
    queue.flush();
    expect(queue.waiting).toBe(0);
    const out = new Float32Array(8);
    queue.fill(out);
    expect([...out]).toEqual([0.75, 0.5, 0.25, 0, 0, 0, 0, 0]);
    expect(queue.played).toBe(0);
  });

  it("accepts new samples while the old ones fade out", () => {
    const queue = new SampleQueue(2);
    queue.push(new Float32Array(10).fill(1));
    queue.flush();
    queue.push(new Float32Array(3).fill(0.25));
    const out = new Float32Array(3);
    queue.fill(out);
    expect([...out]).toEqual([0.75, 0.25, 0.25]);
  });
});
