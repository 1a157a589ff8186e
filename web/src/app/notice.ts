/** The question before the first recording: whether what is said may be kept. */

import { useSyncExternalStore } from "react";

import type { Me } from "../api/me";
import { agree, whoAmI } from "./identity";

interface Asked {
  me: Me;
  answer: (yes: boolean) => void;
}

let asked: Asked | null = null;
let answered: Promise<boolean> | null = null;
const listeners = new Set<() => void>();

function ask(next: Asked | null): void {
  asked = next;
  for (const listener of listeners) listener();
}

/** Whether what is said and written here may go to the server; asks whoever is at the page, once. */
export async function permit(): Promise<boolean> {
  const me = await whoAmI();
  if (me === null || !me.keeping.keep || me.notice.accepted) return true;
  answered ??= new Promise<boolean>((resolve) => ask({ me, answer: resolve })).finally(() => {
    answered = null;
    ask(null);
  });
  return answered;
}

/** Yes: it is told to the server first, and rejects where that fails. */
export async function acceptOpenNotice(): Promise<void> {
  const open = asked;
  if (!open) return;
  await agree();
  open.answer(true);
}

/** No, or nobody is there any more. */
export function refuseNotice(): void {
  asked?.answer(false);
}

/** Whom the question is for while it is open. */
export function useNotice(): Me | null {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => asked?.me ?? null,
  );
}
