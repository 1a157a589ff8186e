import { useCallback, useEffect, useRef, useState } from "react";

import { getAnalysis, type Analysis } from "../../api/analysis";
import { client } from "../../app/client";
import { usePolling } from "../../app/polling";

const POLL_MS = 2_500;

/** How an utterance was spoken; asked for again for as long as nobody knows, and when it is told of anew. */
export function useAnalysis(utterance: string): { analysis: Analysis | null; failed: boolean } {
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
    const stop = client.watch((event) => {
      if (event.type === "kuaimei.analysis.scored" && event.recording === utterance) look();
    });
    return () => {
      asked.current += 1;
      stop();
    };
  }, [look, utterance]);
  usePolling(analysis === null ? failed : analysis.state === "waiting", POLL_MS, look);
  return { analysis, failed };
}
