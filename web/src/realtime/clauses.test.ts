import { describe, expect, it } from "vitest";

import { clauseIndexAt, clauseSpans } from "./clauses";

describe("clauses", () => {
  const text = "好，好，我們走。 All right!";
  const clauses = [
    { text: "好，", startMs: 0 },
    { text: "好，", startMs: 400 },
    { text: "我們走。", startMs: 800 },
    { text: "All right!", startMs: 1600 },
  ];

  it("are found in order, though two are alike", () => {
    expect(clauseSpans(text, clauses).map((place) => place && text.slice(place.start, place.end))).toEqual([
      "好，",
      "好，",
      "我們走。",
      "All right!",
    ]);
    expect(clauseSpans(text, clauses)[1]?.start).toBe(2);
  });

  it("are skipped where the text does not contain them", () => {
    expect(clauseSpans("別的話", clauses)).toEqual([undefined, undefined, undefined, undefined]);
    expect(clauseSpans(text, [undefined, clauses[2]])[1]?.start).toBe(4);
  });

  it("are found by the time", () => {
    expect([-1, 0, 399, 400, 1e6].map((ms) => clauseIndexAt(clauses, ms))).toEqual([-1, 0, 0, 1, 3]);
  });
});
