/** A score of 0 to 1 as people read it: 0 to 100. */
export function points(value: number): number {
  return Math.round(value * 100);
}
