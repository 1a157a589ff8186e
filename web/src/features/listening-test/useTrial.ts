import { useCallback, useEffect, useRef, useState } from "react";

import { getBlob, HttpError } from "../../api/http";
import { nextTrial, submitChoice, type Choice, type PairKind, type Trial, type TrialResult } from "../../api/listeningTests";

export type TrialState =
  | { kind: "loading" }
  | { kind: "open"; trial: Trial; a: string; b: string }
  | { kind: "judged"; trial: Trial; a: string; b: string; judgement: TrialResult }
  | { kind: "nothing" }
  | { kind: "failed" };

interface TrialControl {
  state: TrialState;
  /** The clips of the last trial were deleted, and this is another trial. */
  replaced: boolean;
  next: () => void;
  choose: (choice: Choice, remark: string) => Promise<void>;
}

/** More trials than these with deleted clips in a row: something else is wrong. */
const MAX_ATTEMPTS = 3;

/**
 * Fetch the trials one after the other; both clips are loaded before either can be played.
 *
 * @param onJudged Called after each choice.
 */
export function useTrial(kind: PairKind | null, onJudged: () => void): TrialControl {
  const [state, setState] = useState<TrialState>({ kind: "loading" });
  const [replaced, setReplaced] = useState(false);
  const latestRequest = useRef(0);
  const urls = useRef<string[]>([]);

  const revokeUrls = () => {
    for (const url of urls.current) URL.revokeObjectURL(url);
    urls.current = [];
  };
  const load = useCallback(async () => {
    latestRequest.current += 1;
    const request = latestRequest.current;
    revokeUrls();
    setState({ kind: "loading" });
    for (let attempt = 1; ; attempt += 1) {
      try {
        const trial = await nextTrial(kind);
        const [a, b] = await Promise.all([getBlob(trial.a), getBlob(trial.b)]);
        if (request !== latestRequest.current) return;
        urls.current = [URL.createObjectURL(a), URL.createObjectURL(b)];
        setState({ kind: "open", trial, a: urls.current[0] ?? "", b: urls.current[1] ?? "" });
        return;
      } catch (error) {
        if (request !== latestRequest.current) return;
        const gone = error instanceof HttpError && error.status === 404;
        if (gone && error.code !== "nothing_to_compare" && attempt < MAX_ATTEMPTS) continue;
        setState({ kind: gone ? "nothing" : "failed" });
        return;
      }
    }
  }, [kind]);
  useEffect(() => {
    void load();
    return () => {
      latestRequest.current += 1;
      revokeUrls();
    };
  }, [load]);

  const choose = async (choice: Choice, remark: string) => {
    if (state.kind !== "open") return;
    try {
      const judgement = await submitChoice(state.trial.id, choice, remark);
      setState({ ...state, kind: "judged", judgement });
      setReplaced(false);
      onJudged();
    } catch (error) {
      if (error instanceof HttpError && (error.status === 404 || error.status === 409)) {
        setReplaced(error.status === 404);
        void load();
      } else {
        setState({ kind: "failed" });
      }
    }
  };
  const next = () => {
    setReplaced(false);
    void load();
  };
  return { state, replaced, next, choose };
}
