import { useElementSize } from "@mantine/hooks";
import { useState, type KeyboardEvent, type PointerEvent } from "react";

import { SCORES, type Course } from "../../api/analysis";
import type { AnalysisWords } from "../../i18n/analysis";
import { Marker } from "./Marker";
import { points } from "./points";
import type { Scored } from "./telling";
import classes from "./TrendLines.module.css";

const HEIGHT = 208;
const LEFT = 30;
const EDGE = 12;
const LINES = [0, 25, 50, 75, 100];
/** Closer than this, in pixels, markers would be a smear. */
const CLOSE = 14;

interface Props {
  scored: Scored[];
  usual: Course["usual"];
  words: AnalysisWords;
}

/** Three lines over the utterances; one of them can be chosen, by pointer or arrow keys, and is read out. */
export function TrendLines({ scored, usual, words }: Props) {
  const { ref, width } = useElementSize();
  const [chosen, setChosen] = useState<number | null>(null);
  const last = scored.length - 1;
  const at = Math.min(chosen ?? last, last);
  const room = Math.max(0, width - LEFT - EDGE);
  const x = (index: number) => LEFT + (last === 0 ? room / 2 : (index / last) * room);
  const y = (value: number) => EDGE + (1 - value) * (HEIGHT - 2 * EDGE);
  const sparse = last === 0 || room / last >= CLOSE;
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
  const scores = SCORES.map((score) => `${words.scores[score]} ${points(one.scores[score].value)}`).join(", ");
  const number = words.numbered(String(at + 1), String(scored.length));
  return (
    <div className={classes.chart}>
      <div
        className={classes.plot}
        ref={ref}
        role="slider"
        tabIndex={0}
        aria-label={words.choose}
        aria-valuemin={1}
        aria-valuemax={scored.length}
        aria-valuenow={at + 1}
        aria-valuetext={`${number}: ${one.transcript || words.typed} ${scores}`}
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
                      <Marker key={of.utterance} score={score} at={{ x: x(index), y: y(of.scores[score].value) }} />
                    ),
                )}
              </g>
            ))}
          </svg>
        )}
      </div>
      <div className={classes.told} aria-hidden="true" data-told>
        <p className={classes.words}>
          <small>{number}</small> {one.transcript || words.typed}
        </p>
        <p className={classes.numbers}>
          {SCORES.map((score) => (
            <span key={score}>
              <Marker score={score} /> {words.scores[score]} <strong>{points(one.scores[score].value)}</strong>
            </span>
          ))}
        </p>
      </div>
    </div>
  );
}
