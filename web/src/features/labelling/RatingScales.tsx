import { Button } from "@mantine/core";
import { useEffect, useRef, useState } from "react";

import { SCORES, type Rating, type Score } from "../../api/analysis";
import type { LabellingTranslations } from "../../i18n/labelling";
import classes from "./Labelling.module.css";

const RATING_VALUES = [1, 2, 3, 4, 5] as const;

interface Props {
  t: LabellingTranslations;
  onRate: (rating: Rating) => Promise<void>;
  onSkip: () => void;
}

/** Three rating scales for one clip; a number key rates and moves on to the next scale. */
export function RatingScales({ t, onRate, onSkip }: Props) {
  const [ratings, setRatings] = useState<Partial<Rating>>({});
  const [current, setCurrent] = useState(0);
  const [sending, setSending] = useState(false);
  const complete = SCORES.every((score) => ratings[score] !== undefined);
  const setRating = (score: Score, value: number) => {
    setRatings({ ...ratings, [score]: value });
    setCurrent(SCORES.indexOf(score) + 1);
  };
  const save = () => {
    const { confidence, stability, affability } = ratings;
    if (confidence === undefined || stability === undefined || affability === undefined || sending) return;
    setSending(true);
    void onRate({ confidence, stability, affability }).finally(() => setSending(false));
  };
  useKeys((key) => {
    const score = SCORES[Math.min(current, SCORES.length - 1)];
    if (/^[1-5]$/.test(key) && score) setRating(score, Number(key));
    else if (key === "Backspace") setCurrent(Math.max(0, current - 1));
    else if (key === "Enter" && complete) save();
    else if (key.toLowerCase() === "s" && !sending) onSkip();
    else return false;
    return true;
  });
  return (
    <>
      {SCORES.map((score, index) => (
        <fieldset key={score} className={classes.scale} data-scale={score} data-current={index === current || undefined}>
          <legend>{t.questions[score].ask}</legend>
          <div className={classes.values}>
            <span aria-hidden="true">{t.questions[score].low}</span>
            {RATING_VALUES.map((value) => (
              <label key={value} className={classes.value}>
                <input
                  type="radio"
                  className="km-hidden"
                  name={score}
                  value={value}
                  checked={ratings[score] === value}
                  aria-label={value === 1 ? `1, ${t.questions[score].low}` : value === 5 ? `5, ${t.questions[score].high}` : String(value)}
                  onChange={() => setRating(score, value)}
                />
                <span aria-hidden="true">{value}</span>
              </label>
            ))}
            <span aria-hidden="true">{t.questions[score].high}</span>
          </div>
        </fieldset>
      ))}
      <div className={classes.choices}>
        <Button onClick={save} disabled={!complete || sending}>
          {t.save}
        </Button>
        <Button variant="subtle" onClick={onSkip} disabled={sending}>
          {t.skip}
        </Button>
      </div>
    </>
  );
}

/** Handle keys that are not typed into a text field. */
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
      // Enter presses the focused button.
      if (event.key === "Enter" && target instanceof Element && target.closest("button, a")) return;
      if (latest.current(event.key)) event.preventDefault();
    };
    window.addEventListener("keydown", down);
    return () => window.removeEventListener("keydown", down);
  }, []);
}
