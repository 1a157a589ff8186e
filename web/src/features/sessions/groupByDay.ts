import type { Session } from "../../api/sessions";

export type Day = "today" | "yesterday" | "earlier";

/** Sessions by day, in the order they came. */
export function groupByDay(sessions: readonly Session[], now: Date = new Date()): [Day, Session[]][] {
  const midnight = new Date(now.getFullYear(), now.getMonth(), now.getDate()).getTime();
  const before = new Date(now.getFullYear(), now.getMonth(), now.getDate() - 1).getTime();
  const days: Record<Day, Session[]> = { today: [], yesterday: [], earlier: [] };
  for (const session of sessions) {
    const at = Date.parse(session.started_at);
    days[at >= midnight ? "today" : at >= before ? "yesterday" : "earlier"].push(session);
  }
  return (Object.entries(days) as [Day, Session[]][]).filter(([, found]) => found.length > 0);
}
