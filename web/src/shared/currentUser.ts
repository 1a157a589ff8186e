/** The current user, as the server identifies them. */

import { useEffect, useSyncExternalStore } from "react";

import { HttpError, UnauthorizedError } from "../api/http";
import { acceptNotice, getMe, type Me } from "../api/me";
import { getStatus } from "../api/status";

const RETRY_MS = 1_500;

/** Undefined: not known yet; null: this server has no accounts. */
let currentUser: Me | null | undefined;
let pendingUser: Promise<Me | null> | undefined;
/** Counts the users: answers about an earlier one are ignored. */
let visitCount = 0;
const listeners = new Set<() => void>();

function setCurrentUser(user: Me | null | undefined): void {
  currentUser = user;
  for (const listener of listeners) listener();
}

/** Resolves to the current user as soon as the server is ready; null also where a key is needed first. */
export function getCurrentUser(): Promise<Me | null> {
  pendingUser ??= fetchCurrentUser(visitCount);
  return pendingUser;
}

async function fetchCurrentUser(visit: number): Promise<Me | null> {
  while (visit === visitCount) {
    try {
      // Accounts are available only when the server is ready.
      if ((await getStatus()).ready) {
        const found = await getMe();
        if (visit === visitCount) setCurrentUser(found);
        return found;
      }
    } catch (error) {
      if (error instanceof UnauthorizedError) return null;
      if (error instanceof HttpError && error.status === 404) {
        if (visit === visitCount) setCurrentUser(null);
        return null;
      }
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
  return null;
}

/** Forget the user; the next call asks the server again. */
export function clearCurrentUser(): void {
  visitCount += 1;
  pendingUser = undefined;
  setCurrentUser(undefined);
}

/** Tell the server that the user has agreed to be recorded. */
export async function acceptRecordingNotice(): Promise<void> {
  const visit = visitCount;
  const found = await acceptNotice();
  if (visit !== visitCount) return;
  pendingUser = Promise.resolve(found);
  setCurrentUser(found);
}

/** Undefined while it is not known. */
export function useCurrentUser(): Me | null | undefined {
  useEffect(() => void getCurrentUser(), []);
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => currentUser,
  );
}
