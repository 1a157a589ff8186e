import { describe, expect, it } from "vitest";

import { PlaybackClock } from "./playbackClock";

describe("the playback clock", () => {
  it("follows start, pauses and the positions that the server reports", () => {
    let now = 1000;
    const clock = new PlaybackClock(() => now);
    const at = () => clock.position();
    expect(at()).toBeNull();
    clock.handle({ type: "response.output_item.added", response_id: "r", item: { id: "a", type: "message" } });
    now += 500; // nothing is playing yet
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
