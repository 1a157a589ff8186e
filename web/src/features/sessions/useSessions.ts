import { useDebouncedValue } from "@mantine/hooks";
import { useCallback, useEffect, useRef, useState } from "react";

import { deleteSession, hqOf, keeps, listSessions, listUtterances, loadLines, renameSession, type Session } from "../../api/rest";
import { client, useClient } from "../../app/client";
import { usePolling } from "../../app/polling";

/** The server keeps a turn a moment after it ends. */
const KEPT_AFTER_MS = 700;
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

/** Earlier conversations, and which of them is on the page. */
export function useSessions(): Sessions {
  const [list, setList] = useState<Session[]>([]);
  const [more, setMore] = useState(false);
  const [state, setState] = useState<Sessions["state"]>("loading");
  const [search, setSearch] = useState("");
  const [wanted] = useDebouncedValue(search, 250);
  const asked = useRef(0);
  /** Deleted here; the server may take a while, and they are gone all the same. */
  const removed = useRef(new Set<string>());

  const load = useCallback(
    async (before?: string) => {
      asked.current += 1;
      const mine = asked.current;
      try {
        if (!(await keeps())) {
          setState("not-kept");
          return;
        }
        const found = await listSessions(wanted, before);
        if (mine !== asked.current) return;
        const there = found.data.filter(({ id }) => !removed.current.has(id));
        setList((known) => (before ? [...known, ...there] : there));
        setMore(found.has_more ?? false);
        setState("ready");
      } catch {
        if (mine === asked.current) setState("failed");
      }
    },
    [wanted],
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
      client.open(id, id === null ? [] : await loadLines(id));
    },
    rename: async (id, title) => {
      await renameSession(id, title);
      await load();
    },
    remove: async (id) => {
      if (client.snapshot().session.id === id) client.open(null, []);
      await deleteSession(id);
      removed.current.add(id);
      await load();
    },
  };
}

/** After each turn: its recordings can be replayed, and the list has it. */
function useRecordings(load: () => Promise<void>): void {
  const deleted = useRef(new Set<string>());
  const look = useCallback(async () => {
    const { id } = client.snapshot().session;
    if (id === null) return;
    try {
      if (!(await keeps())) return;
      const utterances = await listUtterances(id);
      if (client.snapshot().session.id !== id) return;
      const found = utterances.flatMap((one) =>
        one.audio && one.is_turn && !deleted.current.has(one.voice)
          ? [
              {
                id: one.id,
                turn: one.turn,
                side: one.speaker,
                audio: one.audio,
                hq: hqOf(one),
                analysis: one.analysis ?? null,
              },
            ]
          : [],
      );
      const silenced = utterances.filter((one) => !one.audio || deleted.current.has(one.voice)).map(({ id: utterance }) => utterance);
      client.dispatch({ type: "local.recordings", found, silenced });
    } catch {
      // Nothing is kept, or the server is away: then there is nothing to replay.
    }
  }, []);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const stop = client.watch((event) => {
      if (event.type === "local.ready") void load();
      if (event.type === "local.voice_deleted") {
        deleted.current.add(event.voice);
        void look();
      }
      if (event.type !== "kuaimei.turn.timing" && event.type !== "response.done") return;
      clearTimeout(timer);
      timer = setTimeout(() => void look().then(load), KEPT_AFTER_MS);
    });
    // A voice, or a recording, may have been deleted at another page meanwhile.
    const seen = () => {
      if (!document.hidden && client.snapshot().session.lines.some(({ audio }) => audio !== null)) void look();
    };
    document.addEventListener("visibilitychange", seen);
    return () => {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
      stop();
    };
  }, [load, look]);
  // The event that it is ready reaches only who is connected.
  const { lines } = useClient().session;
  usePolling(lines.some(({ hq }) => hq?.state === "queued" || hq?.state === "rendering"), HQ_POLL_MS, () => void look());
}

/** The session is part of the address: a reload shows it again. */
function useAddress(): void {
  useEffect(() => {
    const named = /^#\/s\/([\w-]{1,64})$/.exec(location.hash)?.[1];
    let pending = named !== undefined && client.snapshot().session.id === null;
    const show = () => {
      const { id, lines } = client.snapshot().session;
      const hash = id !== null && lines.length > 0 ? `#/s/${id}` : "";
      if (!pending && hash !== location.hash) history.replaceState(null, "", `${location.pathname}${hash}`);
    };
    if (named && pending) {
      loadLines(named)
        .then((lines) => {
          // Unless somebody has begun to talk meanwhile.
          const { id, lines: said } = client.snapshot().session;
          if (id === null && said.length === 0) client.open(named, lines);
        })
        .catch(() => undefined) // it is gone: a new one begins
        .finally(() => {
          pending = false;
          show();
        });
    }
    return client.subscribe(show);
  }, []);
}
