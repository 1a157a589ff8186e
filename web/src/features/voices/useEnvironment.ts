import { useCallback, useEffect, useState } from "react";

import { keeps } from "../../api/rest";
import { getLearningEnvironment, type LearningEnvironment } from "../../api/voices";
import { usePolling } from "../../app/polling";
import { isComing } from "./learning";

const POLL_MS = 3_000;

/** What voices are learned in; asked about again while it is being made. Null: nobody can tell. */
export function useEnvironment(): LearningEnvironment | null {
  const [environment, setEnvironment] = useState<LearningEnvironment | null>(null);
  const look = useCallback(() => {
    // Where nothing is kept there are no voices to be learned.
    keeps()
      .then((kept) => (kept ? getLearningEnvironment() : null))
      .then(setEnvironment, () => undefined);
  }, []);
  useEffect(look, [look]);
  usePolling(environment !== null && isComing(environment), POLL_MS, look);
  return environment;
}
