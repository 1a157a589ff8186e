import { describe, expect, it } from "vitest";

import { pitchPath, pitchPosition, pitchScale, pitchTicks, wavePath, wavePeaks } from "./chartScales";

describe("the chart of a recording", () => {
  it("has a bar for each column, the loudest at full height", () => {
    expect(wavePeaks([0, 0.1, -0.5, 0.25], 2)).toEqual([0.2, 1]);
    expect(wavePeaks([0.5], 3)).toHaveLength(3);
    expect(wavePeaks([], 2)).toEqual([0, 0]);
    expect(wavePeaks([0, 0, 0.5], 3)).toEqual([0, 0, 1]);
    const speech = Array.from({ length: 200 }, () => 0.3);
    expect(wavePeaks([...speech, 1, ...speech], 401).filter((bar) => bar === 1)).toHaveLength(401);
    expect(wavePath([1, 0], 20, 100)).toBe("M5 0V100M15 49.5V50.5");
  });

  it("gives an octave the same height everywhere, and draws a flat voice flat", () => {
    const flat = pitchScale([0, 150, 150, 151, 0]);
    if (!flat) throw new Error("there is a voice");
    expect(flat.high / flat.low).toBeCloseTo(2);
    const wide = { low: 100, high: 400 };
    expect(pitchPosition(200, wide) - pitchPosition(100, wide)).toBeCloseTo(pitchPosition(400, wide) - pitchPosition(200, wide));
    expect(pitchScale([0, 0])).toBeNull();
  });

  it("labels two or three pitches for any voice", () => {
    for (const middle of [70, 95, 130, 180, 240, 310, 480]) {
      for (const octaves of [1, 1.6, 3]) {
        const scale = { low: middle * 2 ** (-octaves / 2), high: middle * 2 ** (octaves / 2) };
        const ticks = pitchTicks(scale);
        expect(ticks.length, `${middle} ${octaves}`).toBeGreaterThanOrEqual(2);
        expect(ticks.length).toBeLessThanOrEqual(3);
        for (const hz of ticks) expect(hz > scale.low && hz < scale.high).toBe(true);
      }
    }
  });

  it("breaks the pitch in unvoiced frames and at jumps, and draws no more points than there are pixels", () => {
    const scale = { low: 100, high: 400 };
    const lines = (f0: number[]) => pitchPath(f0, 1, scale, 100).split("M").length - 1;
    expect(lines([200, 201, 0, 0, 210, 211])).toBe(2);
    expect(lines([200, 201, 390, 391])).toBe(2);
    expect(pitchPath([200, 200], 1, scale, 100)).toBe("M0.5 50h.01L1.5 50");
    const long = Array.from({ length: 60_000 }, () => 200);
    expect(pitchPath(long, 100, scale, 100).split("L").length).toBe(600);
    expect(pitchPath([0, 0], 1, scale, 100)).toBe("");
  });
});
