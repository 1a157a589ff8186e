/** Learning, as people speak of it. */

import type { LearningEnvironment } from "../../api/voices";

/** What voices are learned in is not there yet, and will be. */
export function isComing({ state }: LearningEnvironment): boolean {
  return state === "making" || state === "waiting";
}

export function percent(share: number): string {
  return String(Math.floor(Math.max(0, Math.min(1, share)) * 100));
}

/** Whole minutes that are left; null: nobody knows. */
export function minutes(seconds: number | null): string | null {
  return seconds === null ? null : String(Math.max(1, Math.round(seconds / 60)));
}
