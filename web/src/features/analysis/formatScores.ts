/** Scores and features as text. */

import {
  SCORES,
  type AnalysedUtterance,
  type Contribution,
  type ExplainedScore,
  type RelativeScore,
  type Score,
} from "../../api/analysis";
import type { AnalysisTranslations } from "../../i18n/analysis";
import { scorePoints } from "./scorePoints";

/** Differences below so many points are not audible. */
const MIN_DIFFERENCE = 3;
/** A contribution smaller than this moves a score by about a point. */
const MIN_AMOUNT = 0.05;
const MAX_CONTRIBUTIONS = 4;

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

/** Text that compares a score with the user's average. */
export function relativeText(relative: RelativeScore | null, t: AnalysisTranslations): string {
  if (relative === null) return t.noUsual;
  return differenceText(scorePoints(relative.usual + relative.difference) - scorePoints(relative.usual), t);
}

export function differenceText(difference: number, t: AnalysisTranslations): string {
  if (Math.abs(difference) < MIN_DIFFERENCE) return t.asUsual;
  return difference > 0 ? t.above(String(difference)) : t.below(String(-difference));
}

/** The largest contributions to a score. */
export function topContributions(contributions: readonly Contribution[]): Contribution[] {
  return [...contributions]
    .sort((one, other) => Math.abs(other.amount) - Math.abs(one.amount))
    .filter(({ amount }) => Math.abs(amount) >= MIN_AMOUNT)
    .slice(0, MAX_CONTRIBUTIONS);
}

/** Amount that a bar of full length stands for. */
export function largestAmount(scores: Record<Score, ExplainedScore>): number {
  const amounts = SCORES.flatMap((score) => scores[score].contributions.map(({ amount }) => Math.abs(amount)));
  return Math.max(0.5, ...amounts);
}

export function featureName(feature: string, t: AnalysisTranslations): string {
  return t.features[feature]?.name ?? feature;
}

/** Describe the value of a feature: fast or slow, not a number of deviations. */
export function featureText({ feature, z }: Contribution, t: AnalysisTranslations): string {
  const known = t.features[feature];
  if (!known) return feature;
  return z >= 0 ? known.high : known.low;
}

/** Format a measured value with its unit. */
export function formatMeasure(feature: string, value: number, t: AnalysisTranslations): string {
  const unit = t.features[feature]?.unit ?? "";
  const shown = (unit === "%" ? value * 100 : value).toFixed(DIGITS[feature] ?? 1);
  const plain = Number(shown) === 0 ? shown.replace("-", "") : shown.replace("-", "−");
  return unit === "%" ? `${plain}%` : `${plain} ${unit}`.trim();
}

/** Format with a sign: +0.42, −0.10. */
export function formatSigned(amount: number): string {
  const shown = Math.abs(amount).toFixed(2);
  if (Number(shown) === 0) return shown;
  return amount > 0 ? `+${shown}` : `−${shown}`;
}

export interface ScoredUtterance extends AnalysedUtterance {
  scores: Record<Score, ExplainedScore>;
}

/** The scored utterances of one speaker. */
export function scoredUtterances(utterances: readonly AnalysedUtterance[], speaker: AnalysedUtterance["speaker"]): ScoredUtterance[] {
  return utterances.filter((one): one is ScoredUtterance => one.speaker === speaker && one.state === "scored" && one.scores !== null);
}

export function average(scored: readonly ScoredUtterance[], score: Score): number {
  return scored.reduce((sum, one) => sum + one.scores[score].value, 0) / Math.max(1, scored.length);
}
