import { expect, it } from "vitest";

import type { Session } from "../../api/sessions";
import { groupByDay } from "./groupByDay";

it("groups sessions by day, in local time", () => {
  const now = new Date(2026, 2, 2, 0, 30);
  const at = (...time: [number, number, number, number]) => new Date(...time).toISOString();
  const session = (id: string, started_at: string): Session => ({
    id,
    started_at,
    turns: 1,
    utterances: 2,
    speech_s: 1,
    title: id,
  });
  const days = groupByDay(
    [session("now", at(2026, 2, 2, 0)), session("late", at(2026, 2, 1, 23)), session("old", at(2026, 1, 27, 9))],
    now,
  );
  expect(days.map(([day, found]) => [day, found.map((one) => one.id)])).toEqual([
    ["today", ["now"]],
    ["yesterday", ["late"]],
    ["earlier", ["old"]],
  ]);
});
