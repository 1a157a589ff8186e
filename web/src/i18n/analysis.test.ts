import { describe, expect, it } from "vitest";

import { enAnalysis, zhAnalysis } from "./analysis";
import { phrases } from "./phrases.fixture";

describe("the texts of the analysis", () => {
  it("exist in both languages", () => {
    const found = phrases(enAnalysis);
    expect(phrases(zhAnalysis).map(([path]) => path)).toEqual(found.map(([path]) => path));
    for (const [path, phrase] of [...phrases(zhAnalysis), ...found]) expect(phrase.trim(), path).not.toBe("");
    for (const [path, phrase] of found) expect(phrase, path).not.toMatch(/[\u3400-\u9fff]/);
  });

  it("describe high and low values of every feature", () => {
    for (const words of [zhAnalysis, enAnalysis]) {
      for (const [name, { high, low }] of Object.entries(words.features)) expect(high, name).not.toBe(low);
    }
  });
});
