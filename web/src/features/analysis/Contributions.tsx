import type { ExplainedScore, Score } from "../../api/analysis";
import type { AnalysisTranslations } from "../../i18n/analysis";
import classes from "./Contributions.module.css";
import { featureText, formatMeasure, topContributions } from "./formatScores";

interface Props {
  score: Score;
  of: ExplainedScore;
  /** The amount that a bar of full length stands for. */
  maxAmount: number;
  t: AnalysisTranslations;
}

/** Largest contributions to a score: raising it to the right, lowering it to the left. */
export function Contributions({ score, of, maxAmount, t }: Props) {
  const reasons = topContributions(of.contributions);
  if (reasons.length === 0) return <p className={classes.none}>{t.none}</p>;
  return (
    <ul className={classes.contributions} aria-label={`${t.why}: ${t.scores[score]}`} data-score={score}>
      {reasons.map((one) => {
        const up = one.amount > 0;
        const length = Math.max(2, Math.min(1, Math.abs(one.amount) / maxAmount) * 50);
        return (
          <li key={one.feature} data-feature={one.feature} data-sign={up ? "up" : "down"}>
            <span className={classes.text}>
              <span>{featureText(one, t)}</span>{" "}
              <span className={classes.value}>{formatMeasure(one.feature, one.value, t)}</span>{" "}
              <span className="km-hidden">{up ? t.raises : t.lowers}</span>
            </span>
            <svg width="100%" height="8" aria-hidden="true" focusable="false">
              <rect className={classes.rail} y="3" width="100%" height="2" rx="1" />
              <rect className={classes.bar} x={`${up ? 50 : 50 - length}%`} width={`${length}%`} height="8" rx="2" />
              <rect className={classes.middle} x="50%" width="1.5" height="8" />
            </svg>
          </li>
        );
      })}
    </ul>
  );
}
