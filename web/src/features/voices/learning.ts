/** Numbers of learning, as people say them. */

export function percent(share: number): string {
  return String(Math.floor(Math.max(0, Math.min(1, share)) * 100));
}

/** Whole minutes that are left; null: nobody knows. */
export function minutes(seconds: number | null): string | null {
  return seconds === null ? null : String(Math.max(1, Math.round(seconds / 60)));
}
