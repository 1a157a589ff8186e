import { describe, expect, it } from "vitest";

import type { AnalysedUtterance, Contribution, ExplainedScore, Score } from "../../api/analysis";
import { enAnalysis, zhAnalysis } from "../../i18n/analysis";
import {
  average,
  differenceText,
  featureName,
  featureText,
  formatMeasure,
  formatSigned,
  largestAmount,
  relativeText,
  scoredUtterances,
  topContributions,
} from "./formatScores";

function contribution(feature: string, amount: number, z = amount): Contribution {
  return { feature, value: 1, z, amount };
}

function score(value: number, ...contributions: Contribution[]): ExplainedScore {
  return { value, bias: 0, contributions, relative: null };
}

describe("contributions to a score", () => {
  it("are sorted by size, in either direction, without the small ones", () => {
    const many = [0.1, -0.9, 0.04, 0.3, -0.2, 0.15].map((amount, index) => contribution(`f${index}`, amount));
    expect(topContributions(many).map(({ feature }) => feature)).toEqual(["f1", "f3", "f4", "f5"]);
    expect(topContributions([contribution("f", 0.02)])).toEqual([]);
  });

  it("are described by the value of the feature, not by its effect on the score", () => {
    const slow = contribution("rate_syl_s", 0.4, -1.2);
    expect(featureText(slow, zhAnalysis)).toBe("語速偏慢");
    expect(featureText({ ...slow, z: 1 }, enAnalysis)).toBe("Speaks fast");
    expect(featureText(contribution("one_of_tomorrow", 1), zhAnalysis)).toBe("one_of_tomorrow");
    expect(featureName("one_of_tomorrow", zhAnalysis)).toBe("one_of_tomorrow");
  });

  it("have bars relative to the largest of all three scores, and small ones where all are small", () => {
    const of = (amount: number): Record<Score, ExplainedScore> => ({
      confidence: score(0.5, contribution("f", amount)),
      stability: score(0.5, contribution("f", -2 * amount)),
      affability: score(0.5),
    });
    expect(largestAmount(of(0.8))).toBe(1.6);
    expect(largestAmount(of(0.01))).toBe(0.5);
  });
});

describe("measures", () => {
  it("are formatted with their units", () => {
    expect(formatMeasure("rate_syl_s", 5.43, zhAnalysis)).toBe("5.4 字/秒");
    expect(formatMeasure("pause_ratio", 0.183, zhAnalysis)).toBe("18%");
    expect(formatMeasure("jitter", 0.0123, enAnalysis)).toBe("1.23%");
    expect(formatMeasure("f0_final_st", -2.31, enAnalysis)).toBe("−2.3 semitones");
    expect(formatMeasure("f0_final_st", -0.01, enAnalysis)).toBe("0.0 semitones");
    expect(formatMeasure("one_of_tomorrow", 2, enAnalysis)).toBe("2.0");
  });

  it("show their sign", () => {
    expect([0.416, -0.104, 0.001, -0.001].map(formatSigned)).toEqual(["+0.42", "−0.10", "0.00", "0.00"]);
  });
});

describe("the comparison with the average", () => {
  it("is in points, as they are shown", () => {
    const relative = { utterances: 9, usual: 0.544, difference: 0.08, percentile: 80 };
    expect(relativeText(relative, zhAnalysis)).toBe("比平常高 8");
    expect(relativeText({ ...relative, difference: -0.2 }, enAnalysis)).toBe("20 below usual");
    expect(relativeText({ ...relative, difference: 0.02 }, enAnalysis)).toBe("About as usual");
    expect(relativeText(null, zhAnalysis)).toContain("5 句");
    expect(differenceText(-3, zhAnalysis)).toBe("比平常低 3");
  });

  it("includes the scored utterances of one speaker", () => {
    const utterance = (part: Partial<AnalysedUtterance>): AnalysedUtterance => ({
      utterance: "u",
      speaker: "user",
      transcript: "嗨",
      state: "scored",
      reason: null,
      scores: { confidence: score(0.4), stability: score(0.5), affability: score(0.6) },
      ...part,
    });
    const found = scoredUtterances(
      [
        utterance({ utterance: "a" }),
        utterance({ speaker: "assistant" }),
        utterance({ state: "unscored", reason: "too_short", scores: null }),
        utterance({ utterance: "b", scores: { confidence: score(0.8), stability: score(0.5), affability: score(0.6) } }),
      ],
      "user",
    );
    expect(found.map(({ utterance }) => utterance)).toEqual(["a", "b"]);
    expect(average(found, "confidence")).toBeCloseTo(0.6);
    expect(average([], "confidence")).toBe(0);
  });
});
