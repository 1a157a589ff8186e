import type { OneScore, Score } from "../../api/analysis";
import type { AnalysisWords } from "../../i18n/analysis";
import { fragment, measured, strongest } from "./telling";
import classes from "./Why.module.css";

interface Props {
  score: Score;
  of: OneScore;
  /** The amount for which a bar is as long as it can be. */
  most: number;
  words: AnalysisWords;
}

/** What mattered most for a score: to the right what raised it, to the left what lowered it. */
export function Why({ score, of, most, words }: Props) {
  const reasons = strongest(of.contributions);
  if (reasons.length === 0) return <p className={classes.none}>{words.none}</p>;
  return (
    <ul className={classes.why} aria-label={`${words.why}: ${words.scores[score]}`} data-score={score}>
      {reasons.map((one) => {
        const up = one.amount > 0;
        const length = Math.max(2, Math.min(1, Math.abs(one.amount) / most) * 50);
        return (
          <li key={one.feature} data-feature={one.feature} data-sign={up ? "up" : "down"}>
            <span className={classes.words}>
              <span>{fragment(one, words)}</span>{" "}
              <span className={classes.value}>{measured(one.feature, one.value, words)}</span>{" "}
              <span className="km-hidden">{up ? words.raises : words.lowers}</span>
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
