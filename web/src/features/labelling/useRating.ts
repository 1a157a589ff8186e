import { useCallback, useEffect, useRef, useState } from "react";

import { getRatingProgress, nextToRate, rate, type Rating, type RatingProgress, type ToRate } from "../../api/analysis";
import { NeedsKey, Refused } from "../../api/http";
import { getSound } from "../../api/rest";

export type RatingState =
  | { kind: "loading" }
  | { kind: "open"; clip: ToRate; sound: string | null }
  | { kind: "nothing" }
  | { kind: "failed" };

interface Rater {
  state: RatingState;
  progress: RatingProgress | null;
  /** Passed over for now. */
  skipped: number;
  give: (rating: Rating) => Promise<void>;
  skip: () => void;
  /** Ask once more, also for what was passed over. */
  again: () => void;
}

/** One clip after the other, until this rater has heard them all. */
export function useRating(rater: string): Rater {
  const [state, setState] = useState<RatingState>({ kind: "loading" });
  const [progress, setProgress] = useState<RatingProgress | null>(null);
  const [skipped, setSkipped] = useState<readonly string[]>([]);
  const asked = useRef(0);
  const url = useRef("");

  const load = useCallback(
    async (without: readonly string[]) => {
      asked.current += 1;
      const mine = asked.current;
      setState({ kind: "loading" });
      try {
        const [found, tally] = await Promise.all([next(rater, without), getRatingProgress(rater)]);
        if (mine !== asked.current) return;
        setProgress(tally);
        const sound = found ? await soundOf(found) : null;
        if (mine !== asked.current) {
          if (sound) URL.revokeObjectURL(sound);
          return;
        }
        URL.revokeObjectURL(url.current);
        url.current = sound ?? "";
        setState(found ? { kind: "open", clip: found, sound } : { kind: "nothing" });
      } catch {
        if (mine === asked.current) setState({ kind: "failed" });
      }
    },
    [rater],
  );

  useEffect(() => {
    setSkipped([]);
    void load([]);
    return () => {
      asked.current += 1;
      URL.revokeObjectURL(url.current);
    };
  }, [load]);

  return {
    state,
    progress,
    skipped: skipped.length,
    give: async (rating) => {
      if (state.kind !== "open") return;
      try {
        await rate(state.clip.id, rating, rater);
      } catch (error) {
        if (!(error instanceof Refused && error.status === 404)) {
          setState({ kind: "failed" });
          return;
        }
        // It was deleted meanwhile: the next one.
      }
      await load(skipped);
    },
    skip: () => {
      if (state.kind !== "open") return;
      const without = [...skipped, state.clip.id];
      setSkipped(without);
      void load(without);
    },
    again: () => {
      setSkipped([]);
      void load([]);
    },
  };
}

async function next(rater: string, skipped: readonly string[]): Promise<ToRate | null> {
  try {
    return await nextToRate(rater, skipped);
  } catch (error) {
    if (error instanceof Refused && error.status === 404) return null;
    throw error;
  }
}

async function soundOf(clip: ToRate): Promise<string | null> {
  try {
    return URL.createObjectURL(await getSound(clip.audio));
  } catch (error) {
    if (error instanceof NeedsKey) throw error;
    return null;
  }
}
