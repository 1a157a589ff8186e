/** One reply in two renderings: which moment of the one is which of the other. */

import type { Clause } from "./session";

/** A stretch of the beautiful rendering; `index` is the clause of the fast one with which it begins. */
export interface HqClause {
  index: number;
  startMs: number;
  endMs: number;
}

/** A moment that both have: a clause begins. */
export interface Anchor {
  fastMs: number;
  hqMs: number;
}

/** The moments at which one can go over from the one to the other, in order. */
export function anchors(fast: readonly (Clause | undefined)[], hq: readonly HqClause[]): Anchor[] {
  const found: Anchor[] = [];
  for (const clause of hq) {
    const fastMs = fast[clause.index]?.startMs;
    const last = found.at(-1);
    if (fastMs === undefined || (last && (fastMs <= last.fastMs || clause.startMs <= last.hqMs))) continue;
    found.push({ fastMs, hqMs: clause.startMs });
  }
  return found;
}

/** The next of them that is still to come at `ms` of the fast rendering. */
export function nextAnchor(found: readonly Anchor[], ms: number): Anchor | undefined {
  return found.find((anchor) => anchor.fastMs > ms);
}

/**
 * Milliseconds of the fast rendering by which as much has been said as by `hqMs` of the beautiful one.
 *
 * Straight lines between the anchors; after the last one time runs alike in both.
 */
export function toFastMs(found: readonly Anchor[], hqMs: number): number {
  let before: Anchor = { fastMs: 0, hqMs: 0 };
  for (const anchor of found) {
    if (anchor.hqMs > hqMs) {
      const share = (hqMs - before.hqMs) / (anchor.hqMs - before.hqMs);
      return before.fastMs + share * (anchor.fastMs - before.fastMs);
    }
    before = anchor;
  }
  return before.fastMs + hqMs - before.hqMs;
}
