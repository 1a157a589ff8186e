import { expect, it } from "vitest";

import { loudness } from "./audioContext";

it("loudness is between silence and full scale", () => {
  expect(loudness(new Float32Array(64))).toBe(0);
  expect(loudness(new Float32Array(64).fill(1))).toBe(1);
  const speech = loudness(new Float32Array(64).fill(0.05));
  expect(speech).toBeGreaterThan(0.5);
  expect(speech).toBeLessThan(0.8);
});
