import { expect, it } from "vitest";

import { backoffMs } from "./backoff";

it("the delay before another attempt doubles, is bounded, and has jitter", () => {
  expect([0, 1, 2, 9].map((n) => backoffMs(n, () => 1))).toEqual([500, 1000, 2000, 10_000]);
  expect(backoffMs(3, () => 0)).toBe(2800);
});
