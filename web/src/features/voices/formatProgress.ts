/** Training progress as text. */

import type { TrainingEnvironment } from "../../api/voices";

/** True while the training environment is being installed. */
export function isPending({ state }: TrainingEnvironment): boolean {
  return state === "making" || state === "waiting";
}

export function formatPercent(share: number): string {
  return String(Math.floor(Math.max(0, Math.min(1, share)) * 100));
}

/** Remaining minutes, rounded; null: unknown. */
export function formatMinutes(seconds: number | null): string | null {
  return seconds === null ? null : String(Math.max(1, Math.round(seconds / 60)));
}
