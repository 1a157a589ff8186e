import { describe, expect, it } from "vitest";

import { formatSeconds, responseMs, stages } from "./timing";

describe("timing", () => {
  const timing = {
    endpoint_ms: 420,
    transcript_ms: 400, // speculative: finished before the turn had ended
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

  it("has stages that add up", () => {
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
    expect(formatSeconds(905)).toBe("0.91");
  });
});
