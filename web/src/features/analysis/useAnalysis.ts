import { useCallback, useEffect, useRef, useState } from "react";

import { getAnalysis, type Analysis } from "../../api/analysis";
import { client } from "../../shared/client";
import { usePolling } from "../../shared/usePolling";

const POLL_MS = 2_500;

/** Fetch the analysis of an utterance; polled while it is not finished, and fetched again on its event. */
export function useAnalysis(utterance: string): { analysis: Analysis | null; failed: boolean } {
  const [analysis, setAnalysis] = useState<Analysis | null>(null);
  const [failed, setFailed] = useState(false);
  const latestRequest = useRef(0);
  const refresh = useCallback(() => {
    latestRequest.current += 1;
    const request = latestRequest.current;
    getAnalysis(utterance).then(
      (found) => {
        if (request !== latestRequest.current) return;
        setAnalysis(found);
        setFailed(false);
      },
      () => request === latestRequest.current && setFailed(true),
    );
  }, [utterance]);
  useEffect(() => {
    refresh();
    const stop = client.onUpdate((event) => {
      if (event.type === "kuaimei.analysis.scored" && event.recording === utterance) refresh();
    });
    return () => {
      latestRequest.current += 1;
      stop();
    };
  }, [refresh, utterance]);
  usePolling(analysis === null ? failed : analysis.state === "waiting", POLL_MS, refresh);
  return { analysis, failed };
}
