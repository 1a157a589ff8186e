import { describe, expect, it } from "vitest";

import { detectLocale, TRANSLATIONS } from "./index";
import { phrases } from "./phrases.fixture";

describe("translations", () => {
  it("exist in both languages", () => {
    const zh = phrases(TRANSLATIONS["zh-TW"]);
    const en = phrases(TRANSLATIONS.en);
    expect(zh.map(([path]) => path)).toEqual(en.map(([path]) => path));
    for (const [path, phrase] of [...zh, ...en]) expect(phrase.trim(), path).not.toBe("");
    const cjk = /[\u3400-\u9fff]/;
    for (const [path, phrase] of en) if (!path.startsWith(".switchLanguage")) expect(phrase, path).not.toMatch(cjk);
  });

  it("follow the languages of the browser", () => {
    expect(detectLocale(["fr", "en-GB", "zh-TW"])).toBe("en");
    expect(detectLocale(["zh-Hant-HK"])).toBe("zh-TW");
    expect(detectLocale(["fr"])).toBe("zh-TW");
    expect(detectLocale([])).toBe("zh-TW");
  });
});
