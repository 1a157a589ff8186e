import { useEffect } from "react";

import { client } from "../../app/client";

/** Keys that mean something else where they are pressed. */
function busy(target: EventTarget | null): boolean {
  if (!(target instanceof Element)) return false;
  if (target.closest("[data-talk]")) return false;
  return target.closest("input, textarea, select, button, a, [role=menu], [role=dialog], [role=slider], [contenteditable]") !== null;
}

/** Something lies over the page, and Escape is for that. */
function open(): boolean {
  return document.querySelector("[role=dialog], [role=menu], li form") !== null;
}

/** Space talks while it is held, wherever one is on the page; Escape stops the reply. */
export function useShortcuts(): void {
  useEffect(() => {
    const down = (event: KeyboardEvent) => {
      if (event.key === "Escape") {
        const { session, encore } = client.snapshot();
        const speaking = session.response !== null || session.phase !== "listening" || encore !== null;
        if (!open() && speaking) client.stop();
        return;
      }
      if (event.code !== "Space" || busy(event.target)) return;
      event.preventDefault();
      if (!event.repeat) void client.press();
    };
    const up = (event: KeyboardEvent) => {
      if (event.code !== "Space" || !client.snapshot().pressed) return;
      event.preventDefault();
      client.release();
    };
    const away = () => client.release();
    window.addEventListener("keydown", down);
    window.addEventListener("keyup", up);
    window.addEventListener("blur", away);
    return () => {
      window.removeEventListener("keydown", down);
      window.removeEventListener("keyup", up);
      window.removeEventListener("blur", away);
    };
  }, []);
}
