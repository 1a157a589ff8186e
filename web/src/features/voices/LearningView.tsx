import { Button, Progress } from "@mantine/core";

import { cancelLearning, learnVoice, type Learning, type LearningEnvironment } from "../../api/voices";
import { useWords } from "../../i18n";
import classes from "./ClonedVoice.module.css";
import { isComing, minutes, percent } from "./learning";

interface Props {
  id: string;
  learning: Learning;
  environment: LearningEnvironment | null;
  attempt: (work: Promise<void>, then: () => void) => void;
  onChanged: () => void;
}

/** How far the learning of a voice has come, and what can be done about it. */
export function LearningView({ id, learning, environment, attempt, onChanged }: Props) {
  const own = useWords().own;
  const { step, state } = learning;
  const under = state === "running" || state === "paused";
  const going = under || state === "waiting";
  const done = state === "done" && step === "decoder";
  const left = state === "running" ? minutes(learning.eta_s) : null;
  const early = state === "waiting" && environment !== null && isComing(environment);
  const told = early ? own.waitsForEnvironment : state === "running" ? own.percent(percent(learning.progress)) : own[state];
  return (
    <section className={classes.learning} data-learning={state} aria-label={own.learning}>
      <p>
        <strong>{own[step]}</strong> <span>{told}</span>
      </p>
      {going && (
        <Progress
          value={state === "waiting" ? 0 : learning.progress * 100}
          aria-label={own[step]}
          animated={state === "running"}
        />
      )}
      {learning.similarity !== null && <p className={classes.soft}>{own.similarity(learning.similarity.toFixed(2))}</p>}
      {left !== null && <p className={classes.soft}>{own.minutesLeft(left)}</p>}
      {learning.error && <p className={state === "failed" ? classes.error : classes.soft}>{learning.error}</p>}
      {going && (
        <Button variant="default" size="xs" onClick={() => attempt(cancelLearning(id), onChanged)}>
          {own.cancelLearning}
        </Button>
      )}
      {!going && !done && state !== "unavailable" && (
        <Button variant="light" size="xs" onClick={() => attempt(learnVoice(id), onChanged)}>
          {own.learn}
        </Button>
      )}
    </section>
  );
}
