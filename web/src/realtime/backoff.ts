/** Milliseconds to wait before the attempt of this number (from 0): doubling, bounded, never in step with others. */
export function backoffMs(attempt: number, random: () => number = Math.random): number {
  const most = Math.min(10_000, 500 * 2 ** attempt);
  return Math.round(most * (0.7 + 0.3 * random()));
}
