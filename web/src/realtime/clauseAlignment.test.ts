import { describe, expect, it } from "vitest";

import { alignClauses, nextAlignmentPoint, toFastMs } from "./clauseAlignment";

const FAST = [
  { text: "會，", startMs: 0 },
  { text: "下午有雨。", startMs: 1_000 },
  { text: "帶把傘。", startMs: 3_000 },
];
const HQ = [
  { index: 0, startMs: 0, endMs: 3_900 },
  { index: 2, startMs: 4_000, endMs: 6_000 },
];

describe("the alignment of two renderings", () => {
  const found = alignClauses(FAST, HQ);

  it("has a point where a clause of both begins", () => {
    expect(found).toEqual([
      { fastMs: 0, hqMs: 0 },
      { fastMs: 3_000, hqMs: 4_000 },
    ]);
    expect(nextAlignmentPoint(found, 10)?.hqMs).toBe(4_000);
    expect(nextAlignmentPoint(found, 3_000)).toBeUndefined();
  });

  it("converts positions of the HQ rendering to the fast one", () => {
    expect([0, 2_000, 4_000, 5_000].map((ms) => toFastMs(found, ms))).toEqual([0, 1_500, 3_000, 4_000]);
    expect(toFastMs([], 700)).toBe(700);
  });

  it("skips unknown clauses and those that go backwards", () => {
    const odd = [
      { index: 9, startMs: 0, endMs: 1 },
      { index: 2, startMs: 500, endMs: 1 },
      { index: 1, startMs: 900, endMs: 1 },
    ];
    expect(alignClauses(FAST, odd)).toEqual([{ fastMs: 3_000, hqMs: 500 }]);
  });
});
