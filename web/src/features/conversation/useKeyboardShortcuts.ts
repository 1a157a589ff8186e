import { useEffect } from "react";

import { client } from "../../shared/client";

/** True if the key has another meaning for the focused element. */
function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof Element)) return false;
  if (target.closest("[data-talk]")) return false;
  return target.closest("input, textarea, select, button, a, [role=menu], [role=dialog], [role=slider], [contenteditable]") !== null;
}

/** True if a dialog, menu or editor is open, which Escape closes. */
function hasOpenDialog(): boolean {
  return document.querySelector("[role=dialog], [role=menu], li form") !== null;
}

/** Space talks while it is held, anywhere on the page; Escape stops the reply. */
export function useKeyboardShortcuts(): void {
  useEffect(() => {
    const down = (event: KeyboardEvent) => {
      if (event.key === "Escape") {
        const { session, hqItemId } = client.snapshot();
        const speaking = session.response !== null || session.phase !== "listening" || hqItemId !== null;
        if (!hasOpenDialog() && speaking) client.stopReply();
        return;
      }
      if (event.code !== "Space" || isTyping(event.target)) return;
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
