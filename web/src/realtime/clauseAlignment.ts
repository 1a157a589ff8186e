/** Alignment of the fast and the HQ rendering of one reply. */

import type { Clause } from "./session";

/** A segment of the HQ rendering; `index` is the clause of the fast one with which it begins. */
export interface HqClause {
  index: number;
  startMs: number;
  endMs: number;
}

/** Time at which the same clause begins in both renderings. */
export interface AlignmentPoint {
  fastMs: number;
  hqMs: number;
}

/** The points at which playback can change from the fast to the HQ rendering, in order. */
export function alignClauses(fast: readonly (Clause | undefined)[], hq: readonly HqClause[]): AlignmentPoint[] {
  const points: AlignmentPoint[] = [];
  for (const clause of hq) {
    const fastMs = fast[clause.index]?.startMs;
    const last = points.at(-1);
    if (fastMs === undefined || (last && (fastMs <= last.fastMs || clause.startMs <= last.hqMs))) continue;
    points.push({ fastMs, hqMs: clause.startMs });
  }
  return points;
}

/** The first point later than `ms` of the fast rendering. */
export function nextAlignmentPoint(points: readonly AlignmentPoint[], ms: number): AlignmentPoint | undefined {
  return points.find((point) => point.fastMs > ms);
}

/**
 * Convert a position of the HQ rendering to the fast one, in milliseconds.
 *
 * Linear between the alignment points; after the last one, time advances equally in both.
 */
export function toFastMs(points: readonly AlignmentPoint[], hqMs: number): number {
  let before: AlignmentPoint = { fastMs: 0, hqMs: 0 };
  for (const point of points) {
    if (point.hqMs > hqMs) {
      const share = (hqMs - before.hqMs) / (point.hqMs - before.hqMs);
      return before.fastMs + share * (point.fastMs - before.fastMs);
    }
    before = point;
  }
  return before.fastMs + hqMs - before.hqMs;
}
