import type { Score } from "../../api/analysis";
import classes from "./ScoreMarker.module.css";

const SIZE = 9;

/** Shape of a score, so that scores differ by more than colour; `at` is its place in an SVG. */
export function ScoreMarker({ score, at }: { score: Score; at?: { x: number; y: number } }) {
  if (!at) {
    return (
      <svg className={classes.marker} width={12} height={12} viewBox="-6 -6 12 12" aria-hidden="true" focusable="false">
        <Shape score={score} />
      </svg>
    );
  }
  return (
    <g className={classes.placed} transform={`translate(${at.x} ${at.y})`}>
      <Shape score={score} />
    </g>
  );
}

function Shape({ score }: { score: Score }) {
  const half = SIZE / 2;
  if (score === "confidence") return <circle data-score={score} r={half} />;
  if (score === "stability") return <rect data-score={score} x={-half + 0.5} y={-half + 0.5} width={SIZE - 1} height={SIZE - 1} />;
  return <path data-score={score} d={`M0 ${-half - 0.5}L${half + 0.5} ${half - 0.5}H${-half - 0.5}Z`} />;
}
