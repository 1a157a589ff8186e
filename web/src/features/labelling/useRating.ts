import { useCallback, useEffect, useRef, useState } from "react";

import { getRatingProgress, nextRatingTask, submitRating, type Rating, type RatingProgress, type RatingTask } from "../../api/analysis";
import { getBlob, HttpError, UnauthorizedError } from "../../api/http";

export type RatingState =
  | { kind: "loading" }
  | { kind: "open"; clip: RatingTask; sound: string | null }
  | { kind: "nothing" }
  | { kind: "failed" };

interface RatingControl {
  state: RatingState;
  progress: RatingProgress | null;
  /** Number of skipped clips. */
  skipped: number;
  submit: (rating: Rating) => Promise<void>;
  skip: () => void;
  /** Start again, including the skipped clips. */
  restart: () => void;
}

/** Fetch the clips to be rated one after the other. */
export function useRating(rater: string): RatingControl {
  const [state, setState] = useState<RatingState>({ kind: "loading" });
  const [progress, setProgress] = useState<RatingProgress | null>(null);
  const [skipped, setSkipped] = useState<readonly string[]>([]);
  const latestRequest = useRef(0);
  const url = useRef("");

  const load = useCallback(
    async (skippedIds: readonly string[]) => {
      latestRequest.current += 1;
      const request = latestRequest.current;
      setState({ kind: "loading" });
      try {
        const [found, tally] = await Promise.all([next(rater, skippedIds), getRatingProgress(rater)]);
        if (request !== latestRequest.current) return;
        setProgress(tally);
        const sound = found ? await loadAudioUrl(found) : null;
        if (request !== latestRequest.current) {
          if (sound) URL.revokeObjectURL(sound);
          return;
        }
        URL.revokeObjectURL(url.current);
        url.current = sound ?? "";
        setState(found ? { kind: "open", clip: found, sound } : { kind: "nothing" });
      } catch {
        if (request === latestRequest.current) setState({ kind: "failed" });
      }
    },
    [rater],
  );

  useEffect(() => {
    setSkipped([]);
    void load([]);
    return () => {
      latestRequest.current += 1;
      URL.revokeObjectURL(url.current);
    };
  }, [load]);

  return {
    state,
    progress,
    skipped: skipped.length,
    submit: async (rating) => {
      if (state.kind !== "open") return;
      try {
        await submitRating(state.clip.id, rating, rater);
      } catch (error) {
        if (!(error instanceof HttpError && error.status === 404)) {
          setState({ kind: "failed" });
          return;
        }
        // It was deleted meanwhile: continue with the next one.
      }
      await load(skipped);
    },
    skip: () => {
      if (state.kind !== "open") return;
      const skippedIds = [...skipped, state.clip.id];
      setSkipped(skippedIds);
      void load(skippedIds);
    },
    restart: () => {
      setSkipped([]);
      void load([]);
    },
  };
}

async function next(rater: string, skipped: readonly string[]): Promise<RatingTask | null> {
  try {
    return await nextRatingTask(rater, skipped);
  } catch (error) {
    if (error instanceof HttpError && error.status === 404) return null;
    throw error;
  }
}

async function loadAudioUrl(clip: RatingTask): Promise<string | null> {
  try {
    return URL.createObjectURL(await getBlob(clip.audio));
  } catch (error) {
    if (error instanceof UnauthorizedError) throw error;
    return null;
  }
}
