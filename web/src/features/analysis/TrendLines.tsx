import { useElementSize } from "@mantine/hooks";
import { useState, type KeyboardEvent, type PointerEvent } from "react";

import { SCORES, type SessionAnalysis } from "../../api/analysis";
import type { AnalysisTranslations } from "../../i18n/analysis";
import type { ScoredUtterance } from "./formatScores";
import { ScoreMarker } from "./ScoreMarker";
import { scorePoints } from "./scorePoints";
import classes from "./TrendLines.module.css";

const HEIGHT = 208;
const LEFT = 30;
const EDGE = 12;
const LINES = [0, 25, 50, 75, 100];
/** Pixels between markers below which they would overlap. */
const MIN_MARKER_DISTANCE = 14;

interface Props {
  scored: ScoredUtterance[];
  usual: SessionAnalysis["usual"];
  t: AnalysisTranslations;
}

/** Line chart of the three scores; an utterance is selected by pointer or arrow keys, and shown below. */
export function TrendLines({ scored, usual, t }: Props) {
  const { ref, width } = useElementSize();
  const [chosen, setChosen] = useState<number | null>(null);
  const last = scored.length - 1;
  const at = Math.min(chosen ?? last, last);
  const room = Math.max(0, width - LEFT - EDGE);
  const x = (index: number) => LEFT + (last === 0 ? room / 2 : (index / last) * room);
  const y = (value: number) => EDGE + (1 - value) * (HEIGHT - 2 * EDGE);
  const sparse = last === 0 || room / last >= MIN_MARKER_DISTANCE;
  const point = (event: PointerEvent<HTMLDivElement>) => {
    const left = event.clientX - event.currentTarget.getBoundingClientRect().left - LEFT;
    setChosen(Math.min(last, Math.max(0, Math.round(room > 0 ? (left / room) * last : 0))));
  };
  const key = (event: KeyboardEvent) => {
    const moves: Record<string, number> = { ArrowRight: at + 1, ArrowUp: at + 1, ArrowLeft: at - 1, ArrowDown: at - 1, Home: 0, End: last };
    const to = moves[event.key];
    if (to === undefined) return;
    event.preventDefault();
    setChosen(Math.min(last, Math.max(0, to)));
  };
  const one = scored[at];
  if (!one) return null;
  const scores = SCORES.map((score) => `${t.scores[score]} ${scorePoints(one.scores[score].value)}`).join(", ");
  const number = t.numbered(String(at + 1), String(scored.length));
  return (
    <div className={classes.chart}>
      <div
        className={classes.plot}
        ref={ref}
        role="slider"
        tabIndex={0}
        aria-label={t.choose}
        aria-valuemin={1}
        aria-valuemax={scored.length}
        aria-valuenow={at + 1}
        aria-valuetext={`${number}: ${one.transcript || t.typed} ${scores}`}
        onKeyDown={key}
        onPointerMove={point}
        onPointerDown={point}
      >
        {width > 0 && (
          <svg width={width} height={HEIGHT} aria-hidden="true" focusable="false">
            {LINES.map((line) => (
              <g key={line}>
                <line className={classes.grid} x1={LEFT} x2={width - EDGE} y1={y(line / 100)} y2={y(line / 100)} />
                {line % 50 === 0 && (
                  <text className={classes.label} x={LEFT - 8} y={y(line / 100) + 4}>
                    {line}
                  </text>
                )}
              </g>
            ))}
            <line className={classes.chosen} x1={x(at)} x2={x(at)} y1={EDGE} y2={HEIGHT - EDGE} />
            {usual &&
              SCORES.map((score) => (
                <line
                  key={score}
                  className={classes.usual}
                  data-usual={score}
                  x1={LEFT}
                  x2={width - EDGE}
                  y1={y(usual[score])}
                  y2={y(usual[score])}
                />
              ))}
            {SCORES.map((score) => (
              <g key={score} data-line={score} className={classes.line}>
                <polyline points={scored.map((of, index) => `${x(index)},${y(of.scores[score].value)}`).join(" ")} />
                {scored.map(
                  (of, index) =>
                    (sparse || index === at) && (
                      <ScoreMarker key={of.utterance} score={score} at={{ x: x(index), y: y(of.scores[score].value) }} />
                    ),
                )}
              </g>
            ))}
          </svg>
        )}
      </div>
      <div className={classes.told} aria-hidden="true" data-told>
        <p className={classes.words}>
          <small>{number}</small> {one.transcript || t.typed}
        </p>
        <p className={classes.numbers}>
          {SCORES.map((score) => (
            <span key={score}>
              <ScoreMarker score={score} /> {t.scores[score]} <strong>{scorePoints(one.scores[score].value)}</strong>
            </span>
          ))}
        </p>
      </div>
    </div>
  );
}
