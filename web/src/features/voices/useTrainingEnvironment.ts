import { useCallback, useEffect, useState } from "react";

import { isStoreEnabled } from "../../api/status";
import { getTrainingEnvironment, type TrainingEnvironment } from "../../api/voices";
import { usePolling } from "../../shared/usePolling";
import { isPending } from "./formatProgress";

const POLL_MS = 3_000;

/** State of the training environment, polled while it is being installed; null: unknown. */
export function useTrainingEnvironment(): TrainingEnvironment | null {
  const [environment, setEnvironment] = useState<TrainingEnvironment | null>(null);
  const refresh = useCallback(() => {
    // Without a store there are no voices to be trained.
    isStoreEnabled()
      .then((kept) => (kept ? getTrainingEnvironment() : null))
      .then(setEnvironment, () => undefined);
  }, []);
  useEffect(refresh, [refresh]);
  usePolling(environment !== null && isPending(environment), POLL_MS, refresh);
  return environment;
}
