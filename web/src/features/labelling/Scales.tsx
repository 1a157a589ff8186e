import { Button } from "@mantine/core";
import { useEffect, useRef, useState } from "react";

import { SCORES, type Rating, type Score } from "../../api/analysis";
import type { LabelWords } from "../../i18n/label";
import classes from "./Labelling.module.css";

const MARKS = [1, 2, 3, 4, 5] as const;

interface Props {
  words: LabelWords;
  onRate: (rating: Rating) => Promise<void>;
  onSkip: () => void;
}

/** Three ratings of one clip; a number key gives one and moves on to the next. */
export function Scales({ words, onRate, onSkip }: Props) {
  const [given, setGiven] = useState<Partial<Rating>>({});
  const [current, setCurrent] = useState(0);
  const [sending, setSending] = useState(false);
  const whole = SCORES.every((score) => given[score] !== undefined);
  const mark = (score: Score, value: number) => {
    setGiven({ ...given, [score]: value });
    setCurrent(SCORES.indexOf(score) + 1);
  };
  const save = () => {
    const { confidence, stability, affability } = given;
    if (confidence === undefined || stability === undefined || affability === undefined || sending) return;
    setSending(true);
    void onRate({ confidence, stability, affability }).finally(() => setSending(false));
  };
  useKeys((key) => {
    const score = SCORES[Math.min(current, SCORES.length - 1)];
    if (/^[1-5]$/.test(key) && score) mark(score, Number(key));
    else if (key === "Backspace") setCurrent(Math.max(0, current - 1));
    else if (key === "Enter" && whole) save();
    else if (key.toLowerCase() === "s" && !sending) onSkip();
    else return false;
    return true;
  });
  return (
    <>
      {SCORES.map((score, index) => (
        <fieldset key={score} className={classes.scale} data-scale={score} data-current={index === current || undefined}>
          <legend>{words.questions[score].ask}</legend>
          <div className={classes.marks}>
            <span aria-hidden="true">{words.questions[score].low}</span>
            {MARKS.map((value) => (
              <label key={value} className={classes.mark}>
                <input
                  type="radio"
                  className="km-hidden"
                  name={score}
                  value={value}
                  checked={given[score] === value}
                  aria-label={value === 1 ? `1, ${words.questions[score].low}` : value === 5 ? `5, ${words.questions[score].high}` : String(value)}
                  onChange={() => mark(score, value)}
                />
                <span aria-hidden="true">{value}</span>
              </label>
            ))}
            <span aria-hidden="true">{words.questions[score].high}</span>
          </div>
        </fieldset>
      ))}
      <div className={classes.choices}>
        <Button onClick={save} disabled={!whole || sending}>
          {words.save}
        </Button>
        <Button variant="subtle" onClick={onSkip} disabled={sending}>
          {words.skip}
        </Button>
      </div>
    </>
  );
}

/** Keys pressed anywhere but where they are typed into something. */
function useKeys(take: (key: string) => boolean): void {
  const latest = useRef(take);
  useEffect(() => {
    latest.current = take;
  });
  useEffect(() => {
    const down = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
      const { target } = event;
      if (target instanceof Element && target.closest("input[type=text]")) return;
      // A button that has the focus is pressed by Enter itself.
      if (event.key === "Enter" && target instanceof Element && target.closest("button, a")) return;
      if (latest.current(event.key)) event.preventDefault();
    };
    window.addEventListener("keydown", down);
    return () => window.removeEventListener("keydown", down);
  }, []);
}
