/** Who uses this page, as the server knows them. */

import { useEffect, useSyncExternalStore } from "react";

import { NeedsKey, Refused } from "../api/http";
import { acceptNotice, getMe, type Me } from "../api/me";
import { getStatus } from "../api/rest";

const AGAIN_MS = 1_500;

/** Undefined: not known yet; null: this server does not tell people apart. */
let me: Me | null | undefined;
let asked: Promise<Me | null> | undefined;
/** Counts the people: an answer about one is not another's. */
let visit = 0;
const listeners = new Set<() => void>();

function know(who: Me | null | undefined): void {
  me = who;
  for (const listener of listeners) listener();
}

/** Who it is, as soon as that is known; null also where a key is needed first. */
export function whoAmI(): Promise<Me | null> {
  asked ??= find(visit);
  return asked;
}

async function find(mine: number): Promise<Me | null> {
  while (mine === visit) {
    try {
      // People are known when the server is ready; before, asking is in vain.
      if ((await getStatus()).ready) {
        const found = await getMe();
        if (mine === visit) know(found);
        return found;
      }
    } catch (error) {
      if (error instanceof NeedsKey) return null;
      if (error instanceof Refused && error.status === 404) {
        if (mine === visit) know(null);
        return null;
      }
    }
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
  return null;
}

/** Whoever comes next is asked about anew. */
export function forgetWho(): void {
  visit += 1;
  asked = undefined;
  know(undefined);
}

/** They have agreed that what they say is recorded. */
export async function agree(): Promise<void> {
  const mine = visit;
  const found = await acceptNotice();
  if (mine !== visit) return;
  asked = Promise.resolve(found);
  know(found);
}

/** Undefined while it is not known. */
export function useMe(): Me | null | undefined {
  useEffect(() => void whoAmI(), []);
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => me,
  );
}
