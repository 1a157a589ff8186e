/** Finds the clause of a reply that is being spoken. */

import type { Clause } from "./session";

export interface Span {
  start: number;
  end: number;
}

/** Spans of the clauses in `text`, in order; undefined where a clause cannot be found. */
export function clauseSpans(text: string, clauses: readonly (Clause | undefined)[]): (Span | undefined)[] {
  let from = 0;
  return clauses.map((clause) => {
    const words = clause?.text.trim();
    if (!words) return undefined;
    const start = text.indexOf(words, from);
    if (start < 0) return undefined;
    from = start + words.length;
    return { start, end: from };
  });
}

/** Index of the clause that is heard `ms` after the reply began; -1 before the first. */
export function clauseIndexAt(clauses: readonly (Clause | undefined)[], ms: number): number {
  let found = -1;
  clauses.forEach((clause, index) => {
    if (clause && clause.startMs <= ms) found = index;
  });
  return found;
}
