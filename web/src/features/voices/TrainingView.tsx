import { Button, Progress } from "@mantine/core";

import { cancelTraining, trainVoice, type TrainingEnvironment, type VoiceTraining } from "../../api/voices";
import { useTranslations } from "../../i18n";
import classes from "./ClonedVoice.module.css";
import { formatMinutes, formatPercent, isPending } from "./formatProgress";

interface Props {
  id: string;
  training: VoiceTraining;
  environment: TrainingEnvironment | null;
  attempt: (work: Promise<void>, then: () => void) => void;
  onChanged: () => void;
}

/** Training progress of a voice, and its actions. */
export function TrainingView({ id, training, environment, attempt, onChanged }: Props) {
  const labels = useTranslations().clonedVoices;
  const { step, state } = training;
  const active = state === "running" || state === "paused";
  const inProgress = active || state === "waiting";
  const done = state === "done" && step === "decoder";
  const left = state === "running" ? formatMinutes(training.eta_s) : null;
  const waitsForEnvironment = state === "waiting" && environment !== null && isPending(environment);
  const status = waitsForEnvironment
    ? labels.waitsForEnvironment
    : state === "running"
      ? labels.percent(formatPercent(training.progress))
      : labels[state];
  return (
    <section className={classes.training} data-learning={state} aria-label={labels.learning}>
      <p>
        <strong>{labels[step]}</strong> <span>{status}</span>
      </p>
      {inProgress && (
        <Progress
          value={state === "waiting" ? 0 : training.progress * 100}
          aria-label={labels[step]}
          animated={state === "running"}
        />
      )}
      {training.similarity !== null && <p className={classes.soft}>{labels.similarity(training.similarity.toFixed(2))}</p>}
      {left !== null && <p className={classes.soft}>{labels.minutesLeft(left)}</p>}
      {training.error && <p className={state === "failed" ? classes.error : classes.soft}>{training.error}</p>}
      {inProgress && (
        <Button variant="default" size="xs" onClick={() => attempt(cancelTraining(id), onChanged)}>
          {labels.cancelLearning}
        </Button>
      )}
      {!inProgress && !done && state !== "unavailable" && (
        <Button variant="light" size="xs" onClick={() => attempt(trainVoice(id), onChanged)}>
          {labels.learn}
        </Button>
      )}
    </section>
  );
}
