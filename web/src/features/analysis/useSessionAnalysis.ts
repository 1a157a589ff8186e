import { useEffect, useState } from "react";

import { getSessionAnalysis, type SessionAnalysis } from "../../api/analysis";
import { client } from "../../shared/client";
import { usePolling } from "../../shared/usePolling";

const POLL_MS = 4_000;

/** Fetch the analysis of a session, and keep it up to date. */
export function useSessionAnalysis(session: string): { analysis: SessionAnalysis | null; failed: boolean } {
  const [analysis, setAnalysis] = useState<SessionAnalysis | null>(null);
  const [failed, setFailed] = useState(false);
  const [reloads, setReloads] = useState(0);
  useEffect(() => {
    let cancelled = false;
    getSessionAnalysis(session).then(
      (found) => {
        if (cancelled) return;
        setAnalysis(found);
        setFailed(false);
      },
      () => (cancelled ? undefined : setFailed(true)),
    );
    return () => void (cancelled = true);
  }, [session, reloads]);
  useEffect(() => client.onUpdate(({ type }) => type === "kuaimei.analysis.scored" && setReloads((n) => n + 1)), []);
  const waiting = analysis?.data.some(({ state }) => state === "waiting") ?? false;
  usePolling(waiting || failed, POLL_MS, () => setReloads((n) => n + 1));
  return { analysis, failed };
}
