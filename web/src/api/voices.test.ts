import { describe, expect, it } from "vitest";

import { isInProgress, toVoice } from "./voices";

const TRAINING = { step: "style", state: "running", progress: 0.4, similarity: 0.6, eta_s: 90, error: null } as const;

describe("voices", () => {
  it("of the synthesiser have a sample at once, also those of an older server", () => {
    expect(toVoice({ id: "zf", name: "zf", sample: "/s" })).toEqual({
      id: "zf",
      name: "zf",
      language: "",
      sample: "/s",
      cloned: null,
      mine: true,
      shared: false,
    });
  });

  it("that are cloned have a sample when they are ready, another one after each step", () => {
    const raw = { id: "voice_1", name: "Mum", kind: "cloned", sample: "/s", learning: TRAINING } as const;
    expect(toVoice({ ...raw, state: "preparing" }).sample).toBeNull();
    const before = toVoice({ ...raw, state: "ready" }).sample;
    const after = toVoice({ ...raw, state: "ready", learning: { ...TRAINING, state: "done" } }).sample;
    expect(before).toMatch(/^\/s\?/);
    expect(after).not.toBe(before);
  });

  it("are in progress while they are prepared or trained", () => {
    const cloned = (state: "preparing" | "ready" | "failed", learning: string) =>
      toVoice({
        id: "v",
        name: "v",
        kind: "cloned",
        state,
        learning: { ...TRAINING, state: learning as (typeof TRAINING)["state"] },
      });
    expect(isInProgress(cloned("preparing", "waiting"))).toBe(true);
    expect(["waiting", "running", "paused"].every((state) => isInProgress(cloned("ready", state)))).toBe(true);
    expect(["done", "failed", "cancelled", "unavailable"].some((state) => isInProgress(cloned("ready", state)))).toBe(false);
    expect(isInProgress(cloned("failed", "waiting"))).toBe(false);
    expect(isInProgress(toVoice({ id: "zf", name: "zf" }))).toBe(false);
  });
});
