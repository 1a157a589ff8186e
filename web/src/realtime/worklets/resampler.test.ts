import { describe, expect, it } from "vitest";

import { Resampler } from "./resampler";

describe("the resampler", () => {
  it("joins blocks of any size without discontinuities", () => {
    const tone = Float32Array.from({ length: 4800 }, (_, i) => Math.sin((2 * Math.PI * 440 * i) / 48_000));
    const whole = new Resampler(48_000, 24_000).push(tone);
    const pieces = new Resampler(48_000, 24_000);
    const joined = [17, 128, 3000, 4800].flatMap((end, i, ends) => [...pieces.push(tone.subarray(ends[i - 1] ?? 0, end))]);
    expect(whole).toHaveLength(2400);
    expect(joined).toEqual([...whole]);
  });

  it("keeps the duration at any rate", () => {
    for (const rate of [24_000, 44_100, 48_000, 96_000]) {
      expect(new Resampler(rate, 24_000).push(new Float32Array(rate)).length).toBeCloseTo(24_000, -1);
    }
  });
});
