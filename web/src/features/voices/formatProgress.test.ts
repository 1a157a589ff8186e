import { expect, it } from "vitest";

import { formatMinutes, formatPercent } from "./formatProgress";

it("formats progress in percent and minutes", () => {
  expect([0, 0.999, 1, 7].map(formatPercent)).toEqual(["0", "99", "100", "100"]);
  expect([null, 5, 89, 91, 200].map(formatMinutes)).toEqual([null, "1", "1", "2", "3"]);
});
