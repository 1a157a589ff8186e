import { describe, expect, it } from "vitest";

import type { Contribution, OneScore, Score, Spoken } from "../../api/analysis";
import { enAnalysis, zhAnalysis } from "../../i18n/analysis";
import { enLabel, zhLabel } from "../../i18n/label";
import { peaks, pitchPath, pitchScale, pitchShare, pitchTicks, wavePath } from "./drawing";
import { average, besides, fragment, longest, measured, nameOf, relation, scoredOf, signed, strongest } from "./telling";

function contribution(feature: string, amount: number, z = amount): Contribution {
  return { feature, value: 1, z, amount };
}

function score(value: number, ...contributions: Contribution[]): OneScore {
  return { value, bias: 0, contributions, relative: null };
}

describe("why a score is what it is", () => {
  it("is told by what mattered, in either direction, the most of it first", () => {
    const many = [0.1, -0.9, 0.04, 0.3, -0.2, 0.15].map((amount, index) => contribution(`f${index}`, amount));
    expect(strongest(many).map(({ feature }) => feature)).toEqual(["f1", "f3", "f4", "f5"]);
    expect(strongest([contribution("f", 0.02)])).toEqual([]);
  });

  it("is told in words by what the feature is like, not by what it did to the score", () => {
    const slow = contribution("rate_syl_s", 0.4, -1.2);
    expect(fragment(slow, zhAnalysis)).toBe("語速偏慢");
    expect(fragment({ ...slow, z: 1 }, enAnalysis)).toBe("Speaks fast");
    expect(fragment(contribution("one_of_tomorrow", 1), zhAnalysis)).toBe("one_of_tomorrow");
    expect(nameOf("one_of_tomorrow", zhAnalysis)).toBe("one_of_tomorrow");
  });

  it("has bars as long as the largest of all three, and small ones where all is small", () => {
    const of = (amount: number): Record<Score, OneScore> => ({
      confidence: score(0.5, contribution("f", amount)),
      stability: score(0.5, contribution("f", -2 * amount)),
      affability: score(0.5),
    });
    expect(longest(of(0.8))).toBe(1.6);
    expect(longest(of(0.01))).toBe(0.5);
  });
});

describe("measures", () => {
  it("come with their units", () => {
    expect(measured("rate_syl_s", 5.43, zhAnalysis)).toBe("5.4 字/秒");
    expect(measured("pause_ratio", 0.183, zhAnalysis)).toBe("18%");
    expect(measured("jitter", 0.0123, enAnalysis)).toBe("1.23%");
    expect(measured("f0_final_st", -2.31, enAnalysis)).toBe("−2.3 semitones");
    expect(measured("f0_final_st", -0.01, enAnalysis)).toBe("0.0 semitones");
    expect(measured("one_of_tomorrow", 2, enAnalysis)).toBe("2.0");
  });

  it("show their sign where they are added up", () => {
    expect([0.416, -0.104, 0.001, -0.001].map(signed)).toEqual(["+0.42", "−0.10", "0.00", "0.00"]);
  });
});

describe("what is usual", () => {
  it("is compared with in points, as they are shown", () => {
    const relative = { utterances: 9, usual: 0.544, difference: 0.08, percentile: 80 };
    expect(relation(relative, zhAnalysis)).toBe("比平常高 8");
    expect(relation({ ...relative, difference: -0.2 }, enAnalysis)).toBe("20 below usual");
    expect(relation({ ...relative, difference: 0.02 }, enAnalysis)).toBe("About as usual");
    expect(relation(null, zhAnalysis)).toContain("5 句");
    expect(besides(-3, zhAnalysis)).toBe("比平常低 3");
  });

  it("is about one side and what has scores", () => {
    const spoken = (part: Partial<Spoken>): Spoken => ({
      utterance: "u",
      speaker: "user",
      transcript: "嗨",
      state: "scored",
      reason: null,
      scores: { confidence: score(0.4), stability: score(0.5), affability: score(0.6) },
      ...part,
    });
    const found = scoredOf(
      [
        spoken({ utterance: "a" }),
        spoken({ speaker: "assistant" }),
        spoken({ state: "unscored", reason: "too_short", scores: null }),
        spoken({ utterance: "b", scores: { confidence: score(0.8), stability: score(0.5), affability: score(0.6) } }),
      ],
      "user",
    );
    expect(found.map(({ utterance }) => utterance)).toEqual(["a", "b"]);
    expect(average(found, "confidence")).toBeCloseTo(0.6);
    expect(average([], "confidence")).toBe(0);
  });
});

describe("the drawing", () => {
  it("has a bar for each column, the loudest as high as there is room", () => {
    expect(peaks([0, 0.1, -0.5, 0.25], 2)).toEqual([0.2, 1]);
    expect(peaks([0.5], 3)).toHaveLength(3);
    expect(peaks([], 2)).toEqual([0, 0]);
    expect(peaks([0, 0, 0.5], 3)).toEqual([0, 0, 1]);
    const speech = Array.from({ length: 200 }, () => 0.3);
    expect(peaks([...speech, 1, ...speech], 401).filter((bar) => bar === 1)).toHaveLength(401);
    expect(wavePath([1, 0], 20, 100)).toBe("M5 0V100M15 49.5V50.5");
  });

  it("gives an octave the same height everywhere, and a flat voice no mountains", () => {
    const flat = pitchScale([0, 150, 150, 151, 0]);
    if (!flat) throw new Error("there is a voice");
    expect(flat.high / flat.low).toBeCloseTo(2);
    const wide = { low: 100, high: 400 };
    expect(pitchShare(200, wide) - pitchShare(100, wide)).toBeCloseTo(pitchShare(400, wide) - pitchShare(200, wide));
    expect(pitchScale([0, 0])).toBeNull();
  });

  it("labels two or three pitches, whoever speaks", () => {
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

  it("breaks the pitch where there is no voice or another octave, and draws no more than there are pixels", () => {
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

describe("the words", () => {
  /** Every phrase, with the path to it. */
  function phrases(value: unknown, path = ""): [string, string][] {
    if (typeof value === "function") return [[path, String((value as (...x: string[]) => string)("1", "2"))]];
    if (typeof value === "string") return [[path, value]];
    return Object.entries(value as object).flatMap(([key, part]) => phrases(part, `${path}.${key}`));
  }

  it("are there in both languages", () => {
    for (const [zh, en] of [
      [zhAnalysis, enAnalysis],
      [zhLabel, enLabel],
    ]) {
      const found = phrases(en);
      expect(phrases(zh).map(([path]) => path)).toEqual(found.map(([path]) => path));
      for (const [path, phrase] of [...phrases(zh), ...found]) expect(phrase.trim(), path).not.toBe("");
      for (const [path, phrase] of found) expect(phrase, path).not.toMatch(/[\u3400-\u9fff]/);
    }
  });

  it("say of every feature what it is like on both sides", () => {
    for (const words of [zhAnalysis, enAnalysis]) {
      for (const [name, { high, low }] of Object.entries(words.features)) expect(high, name).not.toBe(low);
    }
  });
});
