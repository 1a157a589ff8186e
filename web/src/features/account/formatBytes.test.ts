import { expect, it } from "vitest";

import { formatBytes } from "./formatBytes";

it("formats bytes in decimal units", () => {
  expect([0, 999, 1_500, 2_340_000, 7_100_000_000].map(formatBytes)).toEqual(["0 B", "999 B", "2 kB", "2.3 MB", "7.1 GB"]);
});
