import { describe, expect, it } from "vitest";

import { utterance } from "../../api/utterance.fixture";
import { toCues, toSrt } from "./subtitles";

describe("subtitles", () => {
  const said = [
    utterance({}),
    utterance({ is_turn: false, transcript: "嗯" }),
    utterance({
      speaker: "assistant",
      started_at: "2026-03-01T12:00:02.250Z",
      duration_ms: 9000,
      transcript: "你好，今天想聊什麼？",
      interrupted: true,
      heard_ms: 800,
      heard_text: "你好，",
    }),
    utterance({ started_at: "2026-03-01T13:01:01Z", duration_ms: null, transcript: "打字的" }),
  ];

  it("count from the first utterance, and contain what was heard", () => {
    expect(toCues(said)).toEqual([
      { startMs: 0, endMs: 1500, text: "你好" },
      { startMs: 2250, endMs: 3050, text: "你好，" },
      { startMs: 3_661_000, endMs: 3_663_000, text: "打字的" },
    ]);
  });

  it("are SubRip", () => {
    expect(toSrt(said.slice(0, 3))).toBe(
      "1\n00:00:00,000 --> 00:00:01,500\n你好\n\n2\n00:00:02,250 --> 00:00:03,050\n你好，\n",
    );
    expect(toSrt(said)).toContain("01:01:01,000 --> 01:01:03,000");
    expect(toSrt([])).toBe("");
  });
});
