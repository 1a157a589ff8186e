import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import type { PlayableAudio } from "./bufferPlayer";
import { toFastMs } from "./clauseAlignment";
import { HqSwap } from "./hqSwap";
import type { ClientEvent, HqReady, ServerEvent } from "./protocol";
import { newMessage, type Message } from "./session";

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

/** A recording that plays by the clock of the test. */
class FakeAudio implements PlayableAudio {
  playing = false;
  fromMs = 0;
  private playingSince = 0;
  onEnded: () => void = () => undefined;

  play(fromMs: number, onEnded: () => void): void {
    this.fromMs = fromMs;
    this.onEnded = onEnded;
    this.resume();
  }
  pause = () => {
    this.fromMs = this.positionMs();
    this.playing = false;
  };
  resume = () => {
    this.playingSince = Date.now();
    this.playing = true;
  };
  stop = () => this.pause();
  positionMs = () => (this.playing ? this.fromMs + Date.now() - this.playingSince : this.fromMs);
  level = () => (this.playing ? 1 : 0);
}

function setUp(overrides: { isEnabled?: boolean; loadAudio?: () => Promise<PlayableAudio> } = {}) {
  const began = Date.now();
  const audio = new FakeAudio();
  const sent: ClientEvent[] = [];
  const message: Message = newMessage("a", "assistant", { status: "writing", clauses: FAST });
  const now = { item: "a", silent: false, level: 1, replyActive: true, stops: 0, changes: 0 };
  const swap = new HqSwap({
    isEnabled: () => overrides.isEnabled ?? true,
    fastPosition: () => ({ itemId: now.item, ms: Date.now() - began, silent: now.silent }),
    fastLevel: () => now.level,
    findMessage: (itemId) => (itemId === message.id ? message : undefined),
    isReplyActive: () => now.replyActive,
    stopPlayback: () => void (now.stops += 1),
    send: (event) => void sent.push(event),
    loadAudio: overrides.loadAudio ?? (() => Promise.resolve(audio)),
    onChange: () => void (now.changes += 1),
  });
  const send = (event: Record<string, unknown>) => swap.handle(event as ServerEvent);
  return { swap, audio, sent, message, now, send };
}

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

describe("the HQ rendering of a playing reply", () => {
  /** Advances until 500 ms of the second segment were played. */
  async function swapped() {
    const setup = setUp();
    await vi.advanceTimersByTimeAsync(500);
    setup.swap.handle(READY);
    await vi.advanceTimersByTimeAsync(2_300);
    expect(setup.swap.itemId).toBeNull();
    setup.now.level = 0; // the pause between two clauses
    await vi.advanceTimersByTimeAsync(200);
    setup.now.level = 1;
    await vi.advanceTimersByTimeAsync(440);
    return setup;
  }

  it("takes over in the pause before a clause that begins in both renderings", async () => {
    const { swap, audio, now, sent } = await swapped();
    expect(swap.itemId).toBe("a");
    expect(now.stops).toBe(1);
    expect(audio.fromMs).toBe(4_000);
    const { ms, itemId } = swap.position() ?? { ms: 0, itemId: "" };
    expect(itemId).toBe("a");
    expect(ms).toBeGreaterThan(3_400);
    expect(ms).toBeLessThan(3_600);
    audio.onEnded();
    expect(swap.itemId).toBeNull();
    expect(now.changes).toBe(2);
    expect(sent).toEqual([]); // it was played to its end
  });

  it("plays to its end, although a newer one becomes ready", async () => {
    const { swap, audio, now } = await swapped();
    swap.handle(READY);
    await vi.advanceTimersByTimeAsync(200);
    expect(audio.playing).toBe(true);
    expect(swap.itemId).toBe("a");
    expect(now.stops).toBe(1);
  });

  it("takes over without a pause where there is none", async () => {
    const { swap, now } = setUp();
    swap.handle(READY);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(swap.itemId).toBe("a"); // at the very beginning
    expect(now.stops).toBe(1);
  });

  it("pauses while the user speaks, and resumes at the same position, or not at all", async () => {
    const { swap, audio, send, sent } = await swapped();
    send({ type: "input_audio_buffer.speech_started", item_id: "u" }); // the server decides whether it is an interruption
    expect(audio.playing).toBe(true);
    send({ type: "kuaimei.reply.held", item_id: "a", heard_ms: 3_500 });
    expect(audio.playing).toBe(false);
    const at = audio.positionMs();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(swap.position()).toMatchObject({ silent: true });
    send({ type: "kuaimei.reply.resumed", item_id: "a", heard_ms: 3_500 });
    expect(audio.playing).toBe(true);
    expect(audio.positionMs()).toBe(at);
    send({ type: "kuaimei.reply.held", item_id: "a", heard_ms: 3_600 });
    send({ type: "kuaimei.reply.interrupted", item_id: "a", heard_ms: 3_600 });
    expect(swap.itemId).toBeNull();
    expect(sent).toMatchObject([{ type: "conversation.item.truncate", item_id: "a" }]);
    const heard = sent[0]?.["audio_end_ms"] as number;
    expect(Math.abs(heard - toFastMs([{ fastMs: 3_000, hqMs: 4_000 }], at))).toBeLessThan(2);
  });

  it("is paused by speech also after the server has finished the fast rendering", async () => {
    const { swap, audio, send, sent, now } = await swapped();
    now.replyActive = false;
    send({ type: "input_audio_buffer.speech_started", item_id: "u" });
    expect(audio.playing).toBe(false);
    send({ type: "kuaimei.speech.dropped", item_id: "u" }); // a cough
    expect(audio.playing).toBe(true);
    send({ type: "input_audio_buffer.speech_started", item_id: "u" });
    send({ type: "input_audio_buffer.committed", item_id: "u" });
    expect(swap.itemId).toBeNull();
    expect(sent.map((event) => event.type)).toEqual(["conversation.item.truncate"]);
  });

  it("is truncated after the server's own event if the button stopped it", async () => {
    const { swap, audio, send, sent } = await swapped();
    swap.stop();
    expect(audio.playing).toBe(false);
    expect(sent).toEqual([]);
    send({ type: "kuaimei.reply.interrupted", item_id: "a", heard_ms: 3_000 });
    expect(sent).toHaveLength(1);
    expect(sent[0]?.["audio_end_ms"]).toBeGreaterThan(3_300);
  });

  it("stops for the next reply", async () => {
    const { swap, audio, send } = await swapped();
    send({ type: "response.output_item.added", response_id: "r2", item: { id: "b" } });
    expect(audio.playing).toBe(false);
    expect(swap.itemId).toBeNull();
  });

  it("is not played if it is switched off, or nothing is playing, or it cannot be loaded", async () => {
    for (const given of [
      setUp({ isEnabled: false }),
      setUp({ loadAudio: () => Promise.reject(new Error("gone")) }),
      Object.assign(setUp(), { over: true }),
    ]) {
      if ("over" in given) {
        given.message.status = "done";
        given.now.silent = true;
      }
      given.swap.handle(READY);
      await vi.advanceTimersByTimeAsync(4_000);
      expect(given.now.stops).toBe(0);
      expect(given.swap.itemId).toBeNull();
    }
  });

  it("does not start while the user speaks, nor after the reply has ended", async () => {
    const { swap, now, message } = setUp();
    await vi.advanceTimersByTimeAsync(500);
    swap.handle(READY);
    now.silent = true;
    await vi.advanceTimersByTimeAsync(3_000);
    expect(swap.itemId).toBeNull();
    message.status = "done";
    await vi.advanceTimersByTimeAsync(100);
    now.silent = false;
    await vi.advanceTimersByTimeAsync(3_000);
    expect(now.stops).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });
});
