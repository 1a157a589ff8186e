/** Scores and features as they are told to people. */

import { SCORES, type Contribution, type OneScore, type Relative, type Score, type Spoken } from "../../api/analysis";
import type { AnalysisWords } from "../../i18n/analysis";
import { points } from "./points";

/** Less than so many points from what is usual: nobody hears that. */
const NOTHING_MUCH = 3;
/** A contribution smaller than this moves a score by about a point. */
const TOO_LITTLE = 0.05;
const AT_MOST = 4;

const DIGITS: Record<string, number> = {
  snr_db: 0,
  pause_ratio: 0,
  pauses_per_min: 0,
  voiced_fraction: 0,
  f0_mean_hz: 0,
  pause_mean_s: 2,
  tremor_st: 2,
  jitter: 2,
};

/** Where a score stands beside what is usual. */
export function relation(relative: Relative | null, words: AnalysisWords): string {
  if (relative === null) return words.noUsual;
  return besides(points(relative.usual + relative.difference) - points(relative.usual), words);
}

export function besides(difference: number, words: AnalysisWords): string {
  if (Math.abs(difference) < NOTHING_MUCH) return words.asUsual;
  return difference > 0 ? words.above(String(difference)) : words.below(String(-difference));
}

/** What mattered most for a score. */
export function strongest(contributions: readonly Contribution[]): Contribution[] {
  return [...contributions]
    .sort((one, other) => Math.abs(other.amount) - Math.abs(one.amount))
    .filter(({ amount }) => Math.abs(amount) >= TOO_LITTLE)
    .slice(0, AT_MOST);
}

/** A bar of full length stands for so much. */
export function longest(scores: Record<Score, OneScore>): number {
  const amounts = SCORES.flatMap((score) => scores[score].contributions.map(({ amount }) => Math.abs(amount)));
  return Math.max(0.5, ...amounts);
}

export function nameOf(feature: string, words: AnalysisWords): string {
  return words.features[feature]?.name ?? feature;
}

/** In words what a feature is like: fast or slow, and not how many deviations. */
export function fragment({ feature, z }: Contribution, words: AnalysisWords): string {
  const known = words.features[feature];
  if (!known) return feature;
  return z >= 0 ? known.high : known.low;
}

/** A measured value with its unit. */
export function measured(feature: string, value: number, words: AnalysisWords): string {
  const unit = words.features[feature]?.unit ?? "";
  const shown = (unit === "%" ? value * 100 : value).toFixed(DIGITS[feature] ?? 1);
  const plain = Number(shown) === 0 ? shown.replace("-", "") : shown.replace("-", "−");
  return unit === "%" ? `${plain}%` : `${plain} ${unit}`.trim();
}

/** +0.42, −0.10 */
export function signed(amount: number): string {
  const shown = Math.abs(amount).toFixed(2);
  if (Number(shown) === 0) return shown;
  return amount > 0 ? `+${shown}` : `−${shown}`;
}

export interface Scored extends Spoken {
  scores: Record<Score, OneScore>;
}

/** What one side said and has scores. */
export function scoredOf(spoken: readonly Spoken[], speaker: Spoken["speaker"]): Scored[] {
  return spoken.filter((one): one is Scored => one.speaker === speaker && one.state === "scored" && one.scores !== null);
}

export function average(scored: readonly Scored[], score: Score): number {
  return scored.reduce((sum, one) => sum + one.scores[score].value, 0) / Math.max(1, scored.length);
}
