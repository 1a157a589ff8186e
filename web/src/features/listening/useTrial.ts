import { useCallback, useEffect, useRef, useState } from "react";

import { Refused } from "../../api/http";
import { judge, nextTrial, type Choice, type Judgement, type PairKind, type Trial } from "../../api/listening";
import { getSound } from "../../api/rest";

export type TrialState =
  | { kind: "loading" }
  | { kind: "open"; trial: Trial; a: string; b: string }
  | { kind: "judged"; trial: Trial; a: string; b: string; judgement: Judgement }
  | { kind: "nothing" }
  | { kind: "failed" };

interface OneTrial {
  state: TrialState;
  /** What was asked about is gone, and this is another. */
  replaced: boolean;
  next: () => void;
  choose: (choice: Choice, remark: string) => Promise<void>;
}

/** Deleted meanwhile, more often than this: something else is wrong. */
const TRIES = 3;

/**
 * One comparison after the other; both clips are here before either can be heard.
 *
 * @param judged Called after each judgement.
 */
export function useTrial(kind: PairKind | null, judged: () => void): OneTrial {
  const [state, setState] = useState<TrialState>({ kind: "loading" });
  const [replaced, setReplaced] = useState(false);
  const asked = useRef(0);
  const urls = useRef<string[]>([]);

  const drop = () => {
    for (const url of urls.current) URL.revokeObjectURL(url);
    urls.current = [];
  };
  const load = useCallback(async () => {
    asked.current += 1;
    const mine = asked.current;
    drop();
    setState({ kind: "loading" });
    for (let attempt = 1; ; attempt += 1) {
      try {
        const trial = await nextTrial(kind);
        const [a, b] = await Promise.all([getSound(trial.a), getSound(trial.b)]);
        if (mine !== asked.current) return;
        urls.current = [URL.createObjectURL(a), URL.createObjectURL(b)];
        setState({ kind: "open", trial, a: urls.current[0] ?? "", b: urls.current[1] ?? "" });
        return;
      } catch (error) {
        if (mine !== asked.current) return;
        const gone = error instanceof Refused && error.status === 404;
        if (gone && error.code !== "nothing_to_compare" && attempt < TRIES) continue;
        setState({ kind: gone ? "nothing" : "failed" });
        return;
      }
    }
  }, [kind]);
  useEffect(() => {
    void load();
    return () => {
      asked.current += 1;
      drop();
    };
  }, [load]);

  const choose = async (choice: Choice, remark: string) => {
    if (state.kind !== "open") return;
    try {
      const judgement = await judge(state.trial.id, choice, remark);
      setState({ ...state, kind: "judged", judgement });
      setReplaced(false);
      judged();
    } catch (error) {
      if (error instanceof Refused && (error.status === 404 || error.status === 409)) {
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
