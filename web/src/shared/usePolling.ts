import { useEffect, useRef } from "react";

/** Call `work` periodically while `active` is true and the page is visible. */
export function usePolling(active: boolean, everyMs: number, work: () => void): void {
  const latest = useRef(work);
  useEffect(() => {
    latest.current = work;
  });
  useEffect(() => {
    if (!active) return undefined;
    const poll = () => {
      if (!document.hidden) latest.current();
    };
    const timer = setInterval(poll, everyMs);
    document.addEventListener("visibilitychange", poll); // catch up when the page becomes visible
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", poll);
    };
  }, [active, everyMs]);
}
