import { useCallback, useEffect, useRef, useState } from "react";

import { getAnalysis, type Analysis } from "../../api/analysis";
import { usePolling } from "../../app/polling";

const POLL_MS = 2_500;

/**
 * How an utterance was spoken; asked for again for as long as nobody knows.
 *
 * @param state What was told of it meanwhile: another one, and it is asked for at once.
 */
export function useAnalysis(utterance: string, state: string): { analysis: Analysis | null; failed: boolean } {
  const [analysis, setAnalysis] = useState<Analysis | null>(null);
  const [failed, setFailed] = useState(false);
  const asked = useRef(0);
  const look = useCallback(() => {
    asked.current += 1;
    const mine = asked.current;
    getAnalysis(utterance).then(
      (found) => {
        if (mine !== asked.current) return;
        setAnalysis(found);
        setFailed(false);
      },
      () => mine === asked.current && setFailed(true),
    );
  }, [utterance]);
  useEffect(() => {
    look();
    return () => void (asked.current += 1);
  }, [look, state]);
  usePolling(analysis === null ? failed : analysis.state === "waiting", POLL_MS, look);
  return { analysis, failed };
}
