import { useCallback, useEffect, useState } from "react";

import { HttpError } from "../../api/http";
import { getVoice, isInProgress, listVoices, type Voice } from "../../api/voices";
import { client } from "../../shared/client";
import { usePolling } from "../../shared/usePolling";

const POLL_MS = 2_000;

export interface Voices {
  list: Voice[];
  state: "loading" | "ready" | "failed";
  /** Fetch one of them again, or a new one. */
  refresh: (id: string) => Promise<void>;
  put: (voice: Voice) => void;
  /** Remove a voice that was deleted here. */
  drop: (id: string) => void;
}

/** All voices; those being prepared or trained are polled. */
export function useVoices(): Voices {
  const [list, setList] = useState<Voice[]>([]);
  const [state, setState] = useState<Voices["state"]>("loading");
  useEffect(() => {
    listVoices().then(
      (found) => {
        setList(found);
        setState("ready");
      },
      () => setState("failed"),
    );
  }, []);
  const put = useCallback((voice: Voice) => {
    setList((known) => {
      const there = known.some((one) => one.id === voice.id);
      return there ? known.map((one) => (one.id === voice.id ? voice : one)) : [...known, voice];
    });
  }, []);
  const drop = useCallback((id: string) => setList((known) => known.filter((one) => one.id !== id)), []);
  const refresh = useCallback(
    async (id: string) => {
      try {
        put(await getVoice(id));
      } catch (error) {
        // Any other error may be temporary.
        if (error instanceof HttpError && error.status === 404) {
          drop(id);
          client.notifyVoiceDeleted(id);
        }
      }
    },
    [put, drop],
  );
  const inProgress = list.filter(isInProgress);
  usePolling(inProgress.length > 0, POLL_MS, () => inProgress.forEach(({ id }) => void refresh(id)));
  return { list, state, refresh, put, drop };
}
