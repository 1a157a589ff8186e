import { describe, expect, it } from "vitest";

import { linesOf, type Session, type Utterance } from "../api/rest";
import { detect, WORDS } from "../i18n";
import { clock } from "./conversation/clock";
import { byDay } from "./sessions/days";
import { cues, srt } from "./sessions/subtitles";
import { responseMs, seconds, stages } from "./timing/timing";
import { byLanguage } from "./voices/languages";
import { nameOf } from "./voices/names";

function utterance(part: Partial<Utterance>): Utterance {
  return {
    id: "utt",
    turn: 1,
    speaker: "user",
    is_turn: true,
    started_at: "2026-03-01T12:00:00Z",
    duration_ms: 1500,
    transcript: "你好",
    heard_ms: null,
    heard_text: null,
    interrupted: false,
    voice: "",
    audio: null,
    ...part,
  };
}

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

  it("count from the first word, and hold what was heard", () => {
    expect(cues(said)).toEqual([
      { startMs: 0, endMs: 1500, text: "你好" },
      { startMs: 2250, endMs: 3050, text: "你好，" },
      { startMs: 3_661_000, endMs: 3_663_000, text: "打字的" },
    ]);
  });

  it("are SubRip", () => {
    expect(srt(said.slice(0, 3))).toBe(
      "1\n00:00:00,000 --> 00:00:01,500\n你好\n\n2\n00:00:02,250 --> 00:00:03,050\n你好，\n",
    );
    expect(srt(said)).toContain("01:01:01,000 --> 01:01:03,000");
    expect(srt([])).toBe("");
  });
});

it("shows an earlier session as it was", () => {
  const lines = linesOf(
    [
      utterance({ id: "u", audio: "/u" }),
      utterance({ id: "c", is_turn: false }),
      utterance({ id: "a", speaker: "assistant", interrupted: true, heard_text: null }),
      utterance({ id: "t", turn: 2 }),
    ],
    [{ turn: 1, timings: { first_audio_ms: 900 }, failures: [] }],
  );
  expect(lines.map(({ id, status, typed, heardText }) => [id, status, typed, heardText])).toEqual([
    ["u", "done", false, null],
    ["a", "interrupted", false, ""],
    ["t", "done", true, null],
  ]);
  expect(lines[1]?.timing).toMatchObject({ first_audio_ms: 900, endpoint_ms: null, tokens: 0 });
  expect(lines[0]?.timing).toBeNull();
});

describe("timing", () => {
  const timing = {
    endpoint_ms: 420,
    transcript_ms: 400, // begun on a guess: there before the turn was over
    first_token_ms: 600,
    first_clause_ms: null,
    first_audio_ms: 900,
    last_audio_ms: 4000,
    speech_s: 2,
    recognition_s: 0.3,
    tokens: 20,
    writing_s: 1,
    reply_audio_s: 3,
  };

  it("is told in stages that add up", () => {
    const parts = stages(timing);
    expect(parts.map((part) => [part.name, part.tookMs])).toEqual([
      ["endpoint", 420],
      ["transcript", 0],
      ["token", 180],
      ["audio", 300],
    ]);
    expect(parts.reduce((sum, part) => sum + part.tookMs, 0)).toBe(responseMs(timing));
  });

  it("is nothing where there was no reply", () => {
    expect(responseMs({ ...timing, first_audio_ms: null })).toBe(600);
    expect(responseMs({ ...timing, first_audio_ms: null, first_token_ms: null })).toBeNull();
    expect(seconds(905)).toBe("0.91");
  });
});

it("puts sessions under their days, by the clock on the wall", () => {
  const now = new Date(2026, 2, 2, 0, 30);
  const at = (...time: [number, number, number, number]) => new Date(...time).toISOString();
  const session = (id: string, started_at: string): Session => ({
    id,
    started_at,
    turns: 1,
    utterances: 2,
    speech_s: 1,
    title: id,
  });
  const days = byDay(
    [session("now", at(2026, 2, 2, 0)), session("late", at(2026, 2, 1, 23)), session("old", at(2026, 1, 27, 9))],
    now,
  );
  expect(days.map(([day, found]) => [day, found.map((one) => one.id)])).toEqual([
    ["today", ["now"]],
    ["yesterday", ["late"]],
    ["earlier", ["old"]],
  ]);
});

describe("voices", () => {
  it("are called by their names", () => {
    expect(nameOf("zf_xiaobei")).toEqual({ name: "Xiaobei", gender: "female" });
    expect(nameOf("am_michael")).toEqual({ name: "Michael", gender: "male" });
    expect(nameOf("alloy")).toEqual({ name: "alloy", gender: null });
  });

  it("stand with their language", () => {
    const common = { sample: "", cloned: null, mine: true, shared: false };
    const voice = (id: string, language: string) => ({ id, name: id, language, ...common });
    const groups = byLanguage([voice("a", "en-GB"), voice("b", "zh"), voice("c", "")]);
    expect(groups.map(([group, found]) => [group, found.map((one) => one.id)])).toEqual([
      ["zh", ["b"]],
      ["en", ["a"]],
      ["other", ["c"]],
    ]);
  });
});

describe("words", () => {
  /** Every phrase, with the path to it. */
  function phrases(value: unknown, path = ""): [string, string][] {
    if (typeof value === "function") return [[path, String((value as (x: unknown) => string)("X"))]];
    if (typeof value === "string") return [[path, value]];
    return Object.entries(value as object).flatMap(([key, part]) => phrases(part, `${path}.${key}`));
  }

  it("are there in both languages, and are not the same", () => {
    const zh = phrases(WORDS["zh-TW"]);
    const en = phrases(WORDS.en);
    expect(zh.map(([path]) => path)).toEqual(en.map(([path]) => path));
    for (const [path, phrase] of [...zh, ...en]) expect(phrase.trim(), path).not.toBe("");
    const cjk = /[\u3400-\u9fff]/;
    for (const [path, phrase] of en) if (!path.startsWith(".switchLanguage")) expect(phrase, path).not.toMatch(cjk);
  });

  it("are chosen as the browser's owner would", () => {
    expect(detect(["fr", "en-GB", "zh-TW"])).toBe("en");
    expect(detect(["zh-Hant-HK"])).toBe("zh-TW");
    expect(detect(["fr"])).toBe("zh-TW");
    expect(detect([])).toBe("zh-TW");
  });
});

it("tells time as players do", () => {
  expect([0, 5.9, 65, 600, -1].map(clock)).toEqual(["0:00", "0:05", "1:05", "10:00", "0:00"]);
});
