import { expect, it } from "vitest";

import { enLabelling, zhLabelling } from "./labelling";
import { phrases } from "./phrases.fixture";

it("the texts of the labelling page exist in both languages", () => {
  const found = phrases(enLabelling);
  expect(phrases(zhLabelling).map(([path]) => path)).toEqual(found.map(([path]) => path));
  for (const [path, phrase] of [...phrases(zhLabelling), ...found]) expect(phrase.trim(), path).not.toBe("");
  for (const [path, phrase] of found) expect(phrase, path).not.toMatch(/[\u3400-\u9fff]/);
});
