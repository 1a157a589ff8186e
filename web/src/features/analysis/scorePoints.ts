/** Points of a score: 0 to 1 becomes 0 to 100. */
export function scorePoints(value: number): number {
  return Math.round(value * 100);
}
