import { describe, expect, it } from "vitest";

import { backoffMs } from "./backoff";
import { clauseAt, spans } from "./clauses";
import { ReplyClock } from "./clock";
import { fromBase64, toBase64 } from "./pcm";
import { microphoneProblem, protocolProblem } from "./problems";
import { parseEvent } from "./protocol";
import { loudness } from "./sound";
import { PlayQueue } from "./worklets/queue";
import { Resampler } from "./worklets/resampler";

describe("clauses", () => {
  const text = "好，好，我們走。 All right!";
  const clauses = [
    { text: "好，", startMs: 0 },
    { text: "好，", startMs: 400 },
    { text: "我們走。", startMs: 800 },
    { text: "All right!", startMs: 1600 },
  ];

  it("are found in order, though two are alike", () => {
    expect(spans(text, clauses).map((place) => place && text.slice(place.start, place.end))).toEqual([
      "好，",
      "好，",
      "我們走。",
      "All right!",
    ]);
    expect(spans(text, clauses)[1]?.start).toBe(2);
  });

  it("are skipped where the text does not have them", () => {
    expect(spans("別的話", clauses)).toEqual([undefined, undefined, undefined, undefined]);
    expect(spans(text, [undefined, clauses[2]])[1]?.start).toBe(4);
  });

  it("are told by the time", () => {
    expect([-1, 0, 399, 400, 1e6].map((ms) => clauseAt(clauses, ms))).toEqual([-1, 0, 0, 1, 3]);
  });
});

describe("the clock of a reply that plays elsewhere", () => {
  it("follows its start, its pauses and what the server counts", () => {
    let now = 1000;
    const clock = new ReplyClock(() => now);
    const at = () => clock.position();
    expect(at()).toBeNull();
    clock.handle({ type: "response.output_item.added", response_id: "r", item: { id: "a", type: "message" } });
    now += 500; // nothing sounds yet
    expect(at()).toEqual({ itemId: "a", ms: 0, silent: true });
    clock.handle({ type: "output_audio_buffer.started", response_id: "r" });
    now += 300;
    expect(at()).toEqual({ itemId: "a", ms: 300, silent: false });
    clock.handle({ type: "kuaimei.reply.playing", turn: 1, item_id: "a", played_ms: 280 });
    now += 100;
    expect(at()?.ms).toBe(380);
    const reply = { turn: 1, response_id: "r", item_id: "a" };
    clock.handle({ type: "kuaimei.reply.held", ...reply, heard_ms: 350 });
    now += 900;
    expect(at()).toEqual({ itemId: "a", ms: 350, silent: true });
    clock.handle({ type: "kuaimei.reply.resumed", ...reply, heard_ms: 350 });
    now += 50;
    expect(at()?.ms).toBe(400);
    clock.handle({ type: "output_audio_buffer.stopped", response_id: "other" });
    expect(at()?.silent).toBe(false);
    clock.handle({ type: "output_audio_buffer.stopped", response_id: "r" });
    now += 50;
    expect(at()).toEqual({ itemId: "a", ms: 400, silent: true });
  });
});

describe("sound on the wire", () => {
  it("comes back as it was", () => {
    const pcm = Int16Array.from({ length: 20_000 }, (_, i) => ((i * 37) % 65_536) - 32_768);
    const back = fromBase64(toBase64(pcm));
    expect([...back].every((sample, i) => sample * 32_768 === pcm[i])).toBe(true);
  });

  it("has a loudness between silence and full scale", () => {
    expect(loudness(new Float32Array(64))).toBe(0);
    expect(loudness(new Float32Array(64).fill(1))).toBe(1);
    const speech = loudness(new Float32Array(64).fill(0.05));
    expect(speech).toBeGreaterThan(0.5);
    expect(speech).toBeLessThan(0.8);
  });
});

describe("what waits to be played", () => {
  it("is given in order, counted, and followed by silence", () => {
    const queue = new PlayQueue(4);
    queue.push(Float32Array.of(1, 2, 3));
    queue.push(Float32Array.of(4, 5));
    const out = new Float32Array(4);
    queue.fill(out);
    expect([...out]).toEqual([1, 2, 3, 4]);
    expect(queue.waiting).toBe(1);
    queue.fill(out);
    expect([...out]).toEqual([5, 0, 0, 0]);
    expect(queue.played).toBe(5);
  });

  it("is gone after a flush but for a short fade that is not counted", () => {
    const queue = new PlayQueue(4);
    queue.push(new Float32Array(1000).fill(1));
    queue.fill(new Float32Array(10));
    queue.flush();
    expect(queue.waiting).toBe(0);
    const out = new Float32Array(8);
    queue.fill(out);
    expect([...out]).toEqual([0.75, 0.5, 0.25, 0, 0, 0, 0, 0]);
    expect(queue.played).toBe(0);
  });

  it("begins anew while the old sound fades", () => {
    const queue = new PlayQueue(2);
    queue.push(new Float32Array(10).fill(1));
    queue.flush();
    queue.push(new Float32Array(3).fill(0.25));
    const out = new Float32Array(3);
    queue.fill(out);
    expect([...out]).toEqual([0.75, 0.25, 0.25]);
  });
});

describe("the resampler", () => {
  it("joins blocks of any size without a seam", () => {
    const tone = Float32Array.from({ length: 4800 }, (_, i) => Math.sin((2 * Math.PI * 440 * i) / 48_000));
    const whole = new Resampler(48_000, 24_000).push(tone);
    const pieces = new Resampler(48_000, 24_000);
    const joined = [17, 128, 3000, 4800].flatMap((end, i, ends) => [...pieces.push(tone.subarray(ends[i - 1] ?? 0, end))]);
    expect(whole).toHaveLength(2400);
    expect(joined).toEqual([...whole]);
  });

  it("keeps the length of a second at any rate", () => {
    for (const rate of [24_000, 44_100, 48_000, 96_000]) {
      expect(new Resampler(rate, 24_000).push(new Float32Array(rate)).length).toBeCloseTo(24_000, -1);
    }
  });
});

describe("waiting before another attempt", () => {
  it("doubles, is bounded, and differs between clients", () => {
    expect([0, 1, 2, 9].map((n) => backoffMs(n, () => 1))).toEqual([500, 1000, 2000, 10_000]);
    expect(backoffMs(3, () => 0)).toBe(2800);
  });
});

describe("problems", () => {
  it("tell a microphone's troubles apart", () => {
    const because = (name: string) => microphoneProblem(new DOMException("", name), true);
    expect(because("NotAllowedError")).toBe("denied");
    expect(because("NotFoundError")).toBe("no-microphone");
    expect(because("NotReadableError")).toBe("microphone-busy");
    expect(because("Whatever")).toBe("unsupported");
    expect(microphoneProblem(new DOMException("", "NotAllowedError"), false)).toBe("insecure");
  });

  it("know the server's codes that are states of their own", () => {
    expect(protocolProblem("too_many_sessions")).toBe("full");
    expect(protocolProblem("session_taken_over")).toBe("in-use");
    expect(protocolProblem("invalid_value")).toBeNull();
    expect(protocolProblem(null)).toBeNull();
  });
});

it("reads events, and nothing else", () => {
  expect(parseEvent('{"type":"kuaimei.queue","place":2}')).toEqual({ type: "kuaimei.queue", place: 2 });
  expect(["", "null", "[]", "{}", '{"type":1}', "{"].map(parseEvent)).toEqual(Array(6).fill(undefined));
});
