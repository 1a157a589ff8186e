import { describe, expect, it } from "vitest";

import { isMoving, voiceOf } from "../../api/voices";
import { wavOf } from "../../realtime/wav";
import { minutes, percent } from "./learning";

const LEARNING = { step: "style", state: "running", progress: 0.4, similarity: 0.6, eta_s: 90, error: null } as const;

describe("voices", () => {
  it("of the synthesiser can be heard at once, also those of an older server", () => {
    expect(voiceOf({ id: "zf", name: "zf", sample: "/s" })).toEqual({
      id: "zf",
      name: "zf",
      language: "",
      sample: "/s",
      cloned: null,
      mine: true,
      shared: false,
    });
  });

  it("that are cloned can be heard when they are ready, anew after each step", () => {
    const raw = { id: "voice_1", name: "Mum", kind: "cloned", sample: "/s", learning: LEARNING } as const;
    expect(voiceOf({ ...raw, state: "preparing" }).sample).toBeNull();
    const before = voiceOf({ ...raw, state: "ready" }).sample;
    const after = voiceOf({ ...raw, state: "ready", learning: { ...LEARNING, state: "done" } }).sample;
    expect(before).toMatch(/^\/s\?/);
    expect(after).not.toBe(before);
  });

  it("are asked about again while something goes on by itself", () => {
    const cloned = (state: "preparing" | "ready" | "failed", learning: string) =>
      voiceOf({
        id: "v",
        name: "v",
        kind: "cloned",
        state,
        learning: { ...LEARNING, state: learning as (typeof LEARNING)["state"] },
      });
    expect(isMoving(cloned("preparing", "waiting"))).toBe(true);
    expect(["waiting", "running", "paused"].every((state) => isMoving(cloned("ready", state)))).toBe(true);
    expect(["done", "failed", "cancelled", "unavailable"].some((state) => isMoving(cloned("ready", state)))).toBe(false);
    expect(isMoving(cloned("failed", "waiting"))).toBe(false);
    expect(isMoving(voiceOf({ id: "zf", name: "zf" }))).toBe(false);
  });
});

it("learning is told in numbers that people use", () => {
  expect([0, 0.999, 1, 7].map(percent)).toEqual(["0", "99", "100", "100"]);
  expect([null, 5, 89, 91, 200].map(minutes)).toEqual([null, "1", "1", "2", "3"]);
});

it("a recording is a WAV file", async () => {
  const file = wavOf([Int16Array.of(1, -1), Int16Array.of(0x7fff)]);
  const view = new DataView(await file.arrayBuffer());
  const text = (at: number) => String.fromCharCode(...new Uint8Array(view.buffer, at, 4));
  expect([text(0), text(8), text(12), text(36)]).toEqual(["RIFF", "WAVE", "fmt ", "data"]);
  expect([view.byteLength, view.getUint32(4, true), view.getUint32(40, true)]).toEqual([50, 42, 6]);
  expect([view.getUint16(22, true), view.getUint32(24, true)]).toEqual([1, 24_000]);
  expect([44, 46, 48].map((at) => view.getInt16(at, true))).toEqual([1, -1, 0x7fff]);
});
