import { useDebouncedValue } from "@mantine/hooks";
import { useCallback, useEffect, useRef, useState } from "react";

import {
  deleteSession,
  hqRenderingOf,
  listSessions,
  listUtterances,
  loadMessages,
  renameSession,
  type Session,
} from "../../api/sessions";
import { isStoreEnabled } from "../../api/status";
import { client, useClient } from "../../shared/client";
import { usePolling } from "../../shared/usePolling";

/** The server stores a turn shortly after it has ended. */
const STORE_DELAY_MS = 700;
const HQ_POLL_MS = 5_000;

export interface Sessions {
  list: Session[];
  more: boolean;
  state: "loading" | "ready" | "failed" | "not-kept";
  search: string;
  setSearch: (search: string) => void;
  loadMore: () => void;
  open: (id: string | null) => Promise<void>;
  rename: (id: string, title: string) => Promise<void>;
  remove: (id: string) => Promise<void>;
}

/** The list of conversations, and the actions on them. */
export function useSessions(): Sessions {
  const [list, setList] = useState<Session[]>([]);
  const [more, setMore] = useState(false);
  const [state, setState] = useState<Sessions["state"]>("loading");
  const [search, setSearch] = useState("");
  const [debouncedSearch] = useDebouncedValue(search, 250);
  const latestRequest = useRef(0);
  /** Ids of deleted sessions: the server may still list them for a while. */
  const removed = useRef(new Set<string>());

  const load = useCallback(
    async (before?: string) => {
      latestRequest.current += 1;
      const request = latestRequest.current;
      try {
        if (!(await isStoreEnabled())) {
          setState("not-kept");
          return;
        }
        const found = await listSessions(debouncedSearch, before);
        if (request !== latestRequest.current) return;
        const there = found.data.filter(({ id }) => !removed.current.has(id));
        setList((known) => (before ? [...known, ...there] : there));
        setMore(found.has_more ?? false);
        setState("ready");
      } catch {
        if (request === latestRequest.current) setState("failed");
      }
    },
    [debouncedSearch],
  );

  useEffect(() => void load(), [load]);
  useRecordings(load);
  useAddress();

  return {
    list,
    more,
    state,
    search,
    setSearch,
    loadMore: () => void load(list.at(-1)?.id),
    open: async (id) => {
      client.openSession(id, id === null ? [] : await loadMessages(id));
    },
    rename: async (id, title) => {
      await renameSession(id, title);
      await load();
    },
    remove: async (id) => {
      if (client.snapshot().session.id === id) client.openSession(null, []);
      await deleteSession(id);
      removed.current.add(id);
      await load();
    },
  };
}

/** After each turn, fetch its recordings and reload the list. */
function useRecordings(load: () => Promise<void>): void {
  const deleted = useRef(new Set<string>());
  const refresh = useCallback(async () => {
    const { id } = client.snapshot().session;
    if (id === null) return;
    try {
      if (!(await isStoreEnabled())) return;
      const utterances = await listUtterances(id);
      if (client.snapshot().session.id !== id) return;
      const found = utterances.flatMap((one) =>
        one.audio && one.is_turn && !deleted.current.has(one.voice)
          ? [
              {
                id: one.id,
                turn: one.turn,
                role: one.speaker,
                audio: one.audio,
                hq: hqRenderingOf(one),
                analysis: one.analysis ?? null,
              },
            ]
          : [],
      );
      const audioDeleted = utterances
        .filter((one) => !one.audio || deleted.current.has(one.voice))
        .map(({ id: utterance }) => utterance);
      client.dispatch({ type: "local.recordings", found, audioDeleted });
    } catch {
      // Nothing is stored, or the server is unreachable: there is nothing to replay.
    }
  }, []);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const stop = client.onUpdate((event) => {
      if (event.type === "local.ready") void load();
      if (event.type === "local.voice_deleted") {
        deleted.current.add(event.voice);
        void refresh();
      }
      if (event.type !== "kuaimei.turn.timing" && event.type !== "response.done") return;
      clearTimeout(timer);
      timer = setTimeout(() => void refresh().then(load), STORE_DELAY_MS);
    });
    // A voice or a recording may have been deleted on another page meanwhile.
    const onVisible = () => {
      if (!document.hidden && client.snapshot().session.messages.some(({ audio }) => audio !== null)) void refresh();
    };
    document.addEventListener("visibilitychange", onVisible);
    return () => {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", onVisible);
      stop();
    };
  }, [load, refresh]);
  // The event that a rendering is ready reaches only connected clients.
  const { messages } = useClient().session;
  usePolling(messages.some(({ hq }) => hq?.state === "queued" || hq?.state === "rendering"), HQ_POLL_MS, () => void refresh());
}

/** Keep the session's id in the address: a reload shows it again. */
function useAddress(): void {
  useEffect(() => {
    const sessionId = /^#\/s\/([\w-]{1,64})$/.exec(location.hash)?.[1];
    let pending = sessionId !== undefined && client.snapshot().session.id === null;
    const show = () => {
      const { id, messages } = client.snapshot().session;
      const hash = id !== null && messages.length > 0 ? `#/s/${id}` : "";
      if (!pending && hash !== location.hash) history.replaceState(null, "", `${location.pathname}${hash}`);
    };
    if (sessionId && pending) {
      loadMessages(sessionId)
        .then((loaded) => {
          // Unless the user has begun to talk meanwhile.
          const { id, messages: said } = client.snapshot().session;
          if (id === null && said.length === 0) client.openSession(sessionId, loaded);
        })
        .catch(() => undefined) // it does not exist any more: start a new one
        .finally(() => {
          pending = false;
          show();
        });
    }
    return client.subscribe(show);
  }, []);
}
