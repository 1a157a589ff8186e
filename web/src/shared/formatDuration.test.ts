import { expect, it } from "vitest";

import { formatDuration } from "./formatDuration";

it("formats a duration as players do", () => {
  expect([0, 5.9, 65, 600, -1].map(formatDuration)).toEqual(["0:00", "0:05", "1:05", "10:00", "0:00"]);
});
