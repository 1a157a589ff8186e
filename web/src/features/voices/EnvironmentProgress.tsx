import { Progress } from "@mantine/core";

import type { TrainingEnvironment } from "../../api/voices";
import { useTranslations } from "../../i18n";
import { formatMinutes, formatPercent, isPending } from "./formatProgress";
import classes from "./Voices.module.css";

/** Progress of installing the training environment; empty when there is nothing to wait for. */
export function EnvironmentProgress({ environment }: { environment: TrainingEnvironment | null }) {
  const labels = useTranslations().clonedVoices;
  if (environment === null || !isPending(environment)) return null;
  const { state, progress, detail, eta_s } = environment;
  const left = formatMinutes(eta_s);
  const unknown = progress === null;
  return (
    <div className={classes.environment} role="status" data-environment={state}>
      <p>
        {labels.environment}
        {!unknown && ` ${labels.percent(formatPercent(progress))}`}
        {left !== null && ` · ${labels.minutesLeft(left)}`}
      </p>
      <Progress
        size="xs"
        value={unknown ? 100 : progress * 100}
        animated={unknown && state === "making"}
        striped={unknown}
        aria-label={labels.environment}
      />
      {detail && <small>{detail}</small>}
    </div>
  );
}
