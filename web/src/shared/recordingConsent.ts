/** Consent of the user, asked for before the first recording. */

import { useSyncExternalStore } from "react";

import type { Me } from "../api/me";
import { acceptRecordingNotice, getCurrentUser } from "./currentUser";

interface ConsentRequest {
  me: Me;
  answer: (yes: boolean) => void;
}

let openRequest: ConsentRequest | null = null;
let pendingAnswer: Promise<boolean> | null = null;
const listeners = new Set<() => void>();

function setRequest(request: ConsentRequest | null): void {
  openRequest = request;
  for (const listener of listeners) listener();
}

/** Whether speech and text may be sent to the server; asks the user once. */
export async function requestConsent(): Promise<boolean> {
  const me = await getCurrentUser();
  if (me === null || !me.keeping.keep || me.notice.accepted) return true;
  pendingAnswer ??= new Promise<boolean>((resolve) => setRequest({ me, answer: resolve })).finally(() => {
    pendingAnswer = null;
    setRequest(null);
  });
  return pendingAnswer;
}

/** Agree: the server is told first; rejects if that fails. */
export async function giveConsent(): Promise<void> {
  const request = openRequest;
  if (!request) return;
  await acceptRecordingNotice();
  request.answer(true);
}

/** Refuse; also when the user has signed out. */
export function refuseConsent(): void {
  openRequest?.answer(false);
}

/** The user who is being asked; null: no question is open. */
export function useConsentRequest(): Me | null {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => openRequest?.me ?? null,
  );
}
