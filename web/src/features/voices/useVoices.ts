import { useCallback, useEffect, useState } from "react";

import { Refused } from "../../api/http";
import { getVoice, isMoving, listVoices, type Voice } from "../../api/voices";
import { client } from "../../app/client";
import { usePolling } from "../../app/polling";

const POLL_MS = 2_000;

export interface Voices {
  list: Voice[];
  state: "loading" | "ready" | "failed";
  /** Look at one of them again, or at one that is new. */
  refresh: (id: string) => Promise<void>;
  put: (voice: Voice) => void;
  /** It was deleted here. */
  drop: (id: string) => void;
}

/** All voices; those that are being prepared or learned are looked at again and again. */
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
        // Anything else may be over the next time.
        if (error instanceof Refused && error.status === 404) {
          drop(id);
          client.voiceDeleted(id);
        }
      }
    },
    [put, drop],
  );
  const moving = list.filter(isMoving);
  usePolling(moving.length > 0, POLL_MS, () => moving.forEach(({ id }) => void refresh(id)));
  return { list, state, refresh, put, drop };
}
