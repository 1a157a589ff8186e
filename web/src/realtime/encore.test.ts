import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { anchors, nextAnchor, toFastMs } from "./anchors";
import { Encore } from "./encore";
import type { ClientEvent, HqReady, ServerEvent } from "./protocol";
import type { Sounding } from "./rendition";
import { newLine, type Line } from "./session";

const FAST = [
  { text: "會，", startMs: 0 },
  { text: "下午有雨。", startMs: 1_000 },
  { text: "帶把傘。", startMs: 3_000 },
];
const READY: HqReady = {
  type: "kuaimei.reply.hq_ready",
  turn: 1,
  response_id: "r",
  item_id: "a",
  recording: "utt",
  audio: "/hq",
  duration_ms: 6_000,
  clauses: [
    { index: 0, start_ms: 0, end_ms: 3_900 },
    { index: 2, start_ms: 4_000, end_ms: 6_000 },
  ],
};

describe("two renderings of one reply", () => {
  const hq = READY.clauses.map(({ index, start_ms, end_ms }) => ({ index, startMs: start_ms, endMs: end_ms }));
  const found = anchors(FAST, hq);

  it("meet where a clause of both begins", () => {
    expect(found).toEqual([
      { fastMs: 0, hqMs: 0 },
      { fastMs: 3_000, hqMs: 4_000 },
    ]);
    expect(nextAnchor(found, 10)?.hqMs).toBe(4_000);
    expect(nextAnchor(found, 3_000)).toBeUndefined();
  });

  it("tell how much of the one was said from the other", () => {
    expect([0, 2_000, 4_000, 5_000].map((ms) => toFastMs(found, ms))).toEqual([0, 1_500, 3_000, 4_000]);
    expect(toFastMs([], 700)).toBe(700);
  });

  it("do not meet where one of them knows no such clause, or goes backwards", () => {
    const odd = [
      { index: 9, startMs: 0, endMs: 1 },
      { index: 2, startMs: 500, endMs: 1 },
      { index: 1, startMs: 900, endMs: 1 },
    ];
    expect(anchors(FAST, odd)).toEqual([{ fastMs: 3_000, hqMs: 500 }]);
  });
});

/** A recording whose time is that of the test. */
class Sound implements Sounding {
  playing = false;
  fromMs = 0;
  private since = 0;
  end: () => void = () => undefined;

  play(fromMs: number, ended: () => void): void {
    this.fromMs = fromMs;
    this.end = ended;
    this.resume();
  }
  pause = () => {
    this.fromMs = this.ms();
    this.playing = false;
  };
  resume = () => {
    this.since = Date.now();
    this.playing = true;
  };
  stop = () => this.pause();
  ms = () => (this.playing ? this.fromMs + Date.now() - this.since : this.fromMs);
  level = () => (this.playing ? 1 : 0);
}

function stage(given: { wanted?: boolean; load?: () => Promise<Sounding> } = {}) {
  const began = Date.now();
  const sound = new Sound();
  const sent: ClientEvent[] = [];
  const line: Line = newLine("a", "assistant", { status: "writing", clauses: FAST });
  const now = { item: "a", silent: false, level: 1, alive: true, hushed: 0, changed: 0 };
  const encore = new Encore({
    wanted: () => given.wanted ?? true,
    position: () => ({ itemId: now.item, ms: Date.now() - began, silent: now.silent }),
    level: () => now.level,
    line: (item) => (item === line.id ? line : undefined),
    alive: () => now.alive,
    hush: () => void (now.hushed += 1),
    send: (event) => void sent.push(event),
    load: given.load ?? (() => Promise.resolve(sound)),
    changed: () => void (now.changed += 1),
  });
  const say = (event: Record<string, unknown>) => encore.handle(event as ServerEvent);
  return { encore, sound, sent, line, now, say };
}

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

describe("the beautiful rendering of a reply that is being spoken", () => {
  /** Until it is heard: 500 ms of the second stretch. */
  async function swapped() {
    const house = stage();
    await vi.advanceTimersByTimeAsync(500);
    house.encore.handle(READY);
    await vi.advanceTimersByTimeAsync(2_300);
    expect(house.encore.item).toBeNull();
    house.now.level = 0; // the pause between two clauses
    await vi.advanceTimersByTimeAsync(200);
    house.now.level = 1;
    await vi.advanceTimersByTimeAsync(440);
    return house;
  }

  it("takes over in the pause before a clause that both begin with", async () => {
    const { encore, sound, now, sent } = await swapped();
    expect(encore.item).toBe("a");
    expect(now.hushed).toBe(1);
    expect(sound.fromMs).toBe(4_000);
    const { ms, itemId } = encore.position() ?? { ms: 0, itemId: "" };
    expect(itemId).toBe("a");
    expect(ms).toBeGreaterThan(3_400);
    expect(ms).toBeLessThan(3_600);
    sound.end();
    expect(encore.item).toBeNull();
    expect(now.changed).toBe(2);
    expect(sent).toEqual([]); // it was heard to its end
  });

  it("is heard to its end, whatever is made anew meanwhile", async () => {
    const { encore, sound, now } = await swapped();
    encore.handle(READY);
    await vi.advanceTimersByTimeAsync(200);
    expect(sound.playing).toBe(true);
    expect(encore.item).toBe("a");
    expect(now.hushed).toBe(1);
  });

  it("takes over without a pause where there is none", async () => {
    const { encore, now } = stage();
    encore.handle(READY);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(encore.item).toBe("a"); // at the very beginning
    expect(now.hushed).toBe(1);
  });

  it("pauses while somebody speaks, and goes on where it was, or not at all", async () => {
    const { encore, sound, say, sent } = await swapped();
    say({ type: "input_audio_buffer.speech_started", item_id: "u" }); // the server decides what it is
    expect(sound.playing).toBe(true);
    say({ type: "kuaimei.reply.held", item_id: "a", heard_ms: 3_500 });
    expect(sound.playing).toBe(false);
    const at = sound.ms();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(encore.position()).toMatchObject({ silent: true });
    say({ type: "kuaimei.reply.resumed", item_id: "a", heard_ms: 3_500 });
    expect(sound.playing).toBe(true);
    expect(sound.ms()).toBe(at);
    say({ type: "kuaimei.reply.held", item_id: "a", heard_ms: 3_600 });
    say({ type: "kuaimei.reply.interrupted", item_id: "a", heard_ms: 3_600 });
    expect(encore.item).toBeNull();
    expect(sent).toMatchObject([{ type: "conversation.item.truncate", item_id: "a" }]);
    const heard = sent[0]?.["audio_end_ms"] as number;
    expect(Math.abs(heard - toFastMs([{ fastMs: 3_000, hqMs: 4_000 }], at))).toBeLessThan(2);
  });

  it("is silenced by speech also after the server has come to the end of its own", async () => {
    const { encore, sound, say, sent, now } = await swapped();
    now.alive = false;
    say({ type: "input_audio_buffer.speech_started", item_id: "u" });
    expect(sound.playing).toBe(false);
    say({ type: "kuaimei.speech.dropped", item_id: "u" }); // a cough
    expect(sound.playing).toBe(true);
    say({ type: "input_audio_buffer.speech_started", item_id: "u" });
    say({ type: "input_audio_buffer.committed", item_id: "u" });
    expect(encore.item).toBeNull();
    expect(sent.map((event) => event.type)).toEqual(["conversation.item.truncate"]);
  });

  it("is accounted for after the server's own account where the button stopped it", async () => {
    const { encore, sound, say, sent } = await swapped();
    encore.stop();
    expect(sound.playing).toBe(false);
    expect(sent).toEqual([]);
    say({ type: "kuaimei.reply.interrupted", item_id: "a", heard_ms: 3_000 });
    expect(sent).toHaveLength(1);
    expect(sent[0]?.["audio_end_ms"]).toBeGreaterThan(3_300);
  });

  it("makes way for the next reply", async () => {
    const { encore, sound, say } = await swapped();
    say({ type: "response.output_item.added", response_id: "r2", item: { id: "b" } });
    expect(sound.playing).toBe(false);
    expect(encore.item).toBeNull();
  });

  it("is left for later where that is wished, or nothing is being spoken, or it cannot be had", async () => {
    for (const given of [
      stage({ wanted: false }),
      stage({ load: () => Promise.reject(new Error("gone")) }),
      Object.assign(stage(), { over: true }),
    ]) {
      if ("over" in given) {
        given.line.status = "done";
        given.now.silent = true;
      }
      given.encore.handle(READY);
      await vi.advanceTimersByTimeAsync(4_000);
      expect(given.now.hushed).toBe(0);
      expect(given.encore.item).toBeNull();
    }
  });

  it("does not begin over somebody who speaks, nor after the reply is over", async () => {
    const { encore, now, line } = stage();
    await vi.advanceTimersByTimeAsync(500);
    encore.handle(READY);
    now.silent = true;
    await vi.advanceTimersByTimeAsync(3_000);
    expect(encore.item).toBeNull();
    line.status = "done";
    await vi.advanceTimersByTimeAsync(100);
    now.silent = false;
    await vi.advanceTimersByTimeAsync(3_000);
    expect(now.hushed).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });
});
