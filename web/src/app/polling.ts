import { useEffect, useRef } from "react";

/** Do `work` every so often while it is `active` and somebody looks at the page. */
export function usePolling(active: boolean, everyMs: number, work: () => void): void {
  const latest = useRef(work);
  useEffect(() => {
    latest.current = work;
  });
  useEffect(() => {
    if (!active) return undefined;
    const look = () => {
      if (!document.hidden) latest.current();
    };
    const timer = setInterval(look, everyMs);
    document.addEventListener("visibilitychange", look); // what was missed meanwhile
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", look);
    };
  }, [active, everyMs]);
}
