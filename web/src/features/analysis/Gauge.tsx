import type { ExplainedScore, Score } from "../../api/analysis";
import type { AnalysisTranslations } from "../../i18n/analysis";
import { relativeText } from "./formatScores";
import classes from "./Gauge.module.css";
import { scorePoints } from "./scorePoints";

const ARC = "M12 60A48 48 0 0 1 108 60";
const CENTRE = { x: 60, y: 60 };
const TICK = { from: 39, to: 56 };

interface Props {
  score: Score;
  of: ExplainedScore;
  t: AnalysisTranslations;
}

/** One score on a dial, with a tick at the user's average. */
export function Gauge({ score, of, t }: Props) {
  const value = scorePoints(of.value);
  const text = relativeText(of.relative, t);
  return (
    <div className={classes.gauge} data-score={score}>
      <div
        role="meter"
        aria-label={t.scores[score]}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={value}
        aria-valuetext={`${value}, ${text}`}
      >
        <svg viewBox="0 0 120 66" aria-hidden="true" focusable="false">
          <path className={classes.track} d={ARC} />
          {value > 0 && <path className={classes.value} d={ARC} pathLength={100} strokeDasharray={`${value} 200`} />}
          {of.relative && <Tick usual={of.relative.usual} />}
          <text x="60" y="59">
            {value}
          </text>
        </svg>
      </div>
      <p className={classes.name} aria-hidden="true">
        {t.scores[score]}
      </p>
      <p className={classes.told} title={of.relative ? t.compared(String(of.relative.utterances)) : undefined} aria-hidden="true">
        {of.relative && <i className={classes.sign} />}
        {text}
      </p>
    </div>
  );
}

function Tick({ usual }: { usual: number }) {
  const angle = Math.PI * (1 - usual);
  const at = (radius: number) => ({ x: CENTRE.x + radius * Math.cos(angle), y: CENTRE.y - radius * Math.sin(angle) });
  const from = at(TICK.from);
  const to = at(TICK.to);
  return (
    <g data-usual>
      <line className={classes.gap} x1={from.x} y1={from.y} x2={to.x} y2={to.y} />
      <line className={classes.tick} x1={from.x} y1={from.y} x2={to.x} y2={to.y} />
    </g>
  );
}
