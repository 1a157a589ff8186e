/** Milliseconds to wait before attempt number `attempt` (from 0): exponential, bounded, with jitter. */
export function backoffMs(attempt: number, random: () => number = Math.random): number {
  const most = Math.min(10_000, 500 * 2 ** attempt);
  return Math.round(most * (0.7 + 0.3 * random()));
}
