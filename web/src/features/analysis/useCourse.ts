import { useEffect, useState } from "react";

import { getCourse, type Course } from "../../api/analysis";
import { client } from "../../app/client";
import { usePolling } from "../../app/polling";

const POLL_MS = 4_000;

/** What is known of a session, and what comes to it while one looks. */
export function useCourse(session: string): { course: Course | null; failed: boolean } {
  const [course, setCourse] = useState<Course | null>(null);
  const [failed, setFailed] = useState(false);
  const [asked, ask] = useState(0);
  useEffect(() => {
    let gone = false;
    getCourse(session).then(
      (found) => {
        if (gone) return;
        setCourse(found);
        setFailed(false);
      },
      () => (gone ? undefined : setFailed(true)),
    );
    return () => void (gone = true);
  }, [session, asked]);
  useEffect(() => client.watch(({ type }) => type === "kuaimei.analysis.scored" && ask((n) => n + 1)), []);
  const waiting = course?.data.some(({ state }) => state === "waiting") ?? false;
  usePolling(waiting || failed, POLL_MS, () => ask((n) => n + 1));
  return { course, failed };
}
