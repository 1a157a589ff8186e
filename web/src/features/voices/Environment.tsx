import { Progress } from "@mantine/core";

import type { LearningEnvironment } from "../../api/voices";
import { useWords } from "../../i18n";
import { isComing, minutes, percent } from "./learning";
import classes from "./Voices.module.css";

/** How far what voices are learned in is; nothing where there is nothing to wait for. */
export function Environment({ environment }: { environment: LearningEnvironment | null }) {
  const own = useWords().own;
  if (environment === null || !isComing(environment)) return null;
  const { state, progress, detail, eta_s } = environment;
  const left = minutes(eta_s);
  const unknown = progress === null;
  return (
    <div className={classes.environment} role="status" data-environment={state}>
      <p>
        {own.environment}
        {!unknown && ` ${own.percent(percent(progress))}`}
        {left !== null && ` · ${own.minutesLeft(left)}`}
      </p>
      <Progress
        size="xs"
        value={unknown ? 100 : progress * 100}
        animated={unknown && state === "making"}
        striped={unknown}
        aria-label={own.environment}
      />
      {detail && <small>{detail}</small>}
    </div>
  );
}
