/** Whether somebody may use this page, and the way in and out. */

import { useSyncExternalStore } from "react";

import { NeedsKey, onRefusedKey } from "../api/http";
import { apiKey, cameWithAddress, dropKey, dropRefusedKey, keepKey, migrateKey, takeKeyFromAddress } from "../api/key";
import { sayGoodbye } from "../api/me";
import { forgetKeeping, getStatus } from "../api/rest";
import { client } from "./client";
import { forgetWho, whoAmI } from "./identity";
import { refuseNotice } from "./notice";
import { forgetPreferences } from "./preferences";

/** Why somebody is asked to sign in. */
export type Why =
  | "none" // there was no key
  | "refused" // the key that was here is none of the server's
  | "revoked" // the key was taken away while it was in use
  | "left"; // they signed out

export type Access =
  | { kind: "finding" }
  | { kind: "in"; visit: number; fromAddress: boolean }
  | { kind: "out"; why: Why };

const CHANNEL = "kuaimei.access";

/** What one tab tells the others: that somebody left, or that this key was revoked, or that all begins anew. */
interface Told {
  what: "left" | "revoked" | "anew";
  key: string;
}

let access: Access = { kind: "finding" };
let visits = 0;
/** The server is being told that somebody has left. */
let leaving: Promise<void> = Promise.resolve();
/** The server has accepted the key in force. */
let accepted = false;
/** The key with which this page was entered. */
let entered = "";
const listeners = new Set<() => void>();
let tabs: BroadcastChannel | undefined;

function move(to: Access): void {
  access = to;
  for (const listener of listeners) listener();
}

function enter(): void {
  visits += 1;
  accepted = false;
  entered = apiKey();
  move({ kind: "in", visit: visits, fromAddress: cameWithAddress() });
  const mine = visits;
  void whoAmI().then((me) => {
    if (me !== null && mine === visits) accepted = true;
  });
}

/** Find out whether a key is needed here, and watch for its end. To be called once. */
export function openAccess(): void {
  migrateKey();
  takeKeyFromAddress();
  onRefusedKey((key) => leave(key === "" ? "none" : accepted ? "revoked" : "refused"));
  client.subscribe(() => {
    const { problem } = client.snapshot();
    if (problem === "revoked") leave("revoked");
    if (problem === "key") leave(apiKey() === "" ? "none" : accepted ? "revoked" : "refused");
  });
  window.addEventListener("hashchange", () => {
    if (takeKeyFromAddress()) startAnew(); // what is on the page may be another person's
  });
  // Going back shows a page as it was, also after somebody has signed out on the next one.
  window.addEventListener("pageshow", ({ persisted }) => {
    if (persisted && apiKey() !== entered) location.reload();
  });
  watchOtherTabs();
  if (apiKey() !== "") {
    enter();
    return;
  }
  getStatus().then(enter, (error: unknown) => {
    // Without a key the listener above has led to the sign-in; anything else the page itself tells.
    if (!(error instanceof NeedsKey)) enter();
  });
}

/** Go on with a key that the server accepts. */
export async function signIn(key: string, remember: boolean): Promise<void> {
  await leaving; // its answer clears the storage, and would clear this key with it
  keepKey(key, remember);
  enter();
}

/** Leave, at once and in all tabs, whether or not the server hears of it. */
export function signOut(): void {
  const key = apiKey();
  leave("left");
  leaving = sayGoodbye(key);
}

/** Begin anew as the same person: what the page shows is gone. */
export function startAnew(): void {
  client.forget();
  forgetWho();
  forgetKeeping();
  enter();
}

/** Forget what this browser keeps, where nobody signs in here: the page begins anew. */
export function forgetHere(): void {
  forgetBrowser();
  tell("anew", apiKey());
  startAnew();
  leaving = sayGoodbye(apiKey());
}

/** @param telling The other tabs as well. */
function leave(why: Why, telling = true): void {
  if (access.kind === "out") return;
  const key = apiKey();
  access = { kind: "out", why }; // before what follows from it, some of which would lead here again
  client.forget();
  refuseNotice();
  forgetWho();
  forgetKeeping();
  accepted = false;
  if (why === "refused" && dropRefusedKey()) {
    enter(); // an address held one that is none, and this device is remembered with another
    return;
  }
  dropKey();
  if (why === "revoked" || why === "left") {
    forgetBrowser();
    if (telling) tell(why, key);
  }
  visits += 1;
  move(access);
}

function forgetBrowser(): void {
  for (const storage of ["localStorage", "sessionStorage"] as const) {
    try {
      window[storage].clear();
    } catch {
      // What may not be stored is not there.
    }
  }
  if ("caches" in window) {
    void caches.keys().then((names) => names.forEach((name) => void caches.delete(name)), () => undefined);
  }
  forgetPreferences();
  history.replaceState(null, "", location.pathname);
}

function tell(what: Told["what"], key: string): void {
  tabs?.postMessage({ what, key } satisfies Told);
}

function watchOtherTabs(): void {
  if (typeof BroadcastChannel === "undefined") return;
  tabs = new BroadcastChannel(CHANNEL);
  tabs.onmessage = ({ data }: MessageEvent<Told>) => {
    if (data.what === "left") leave("left", false);
    else if (data.what === "revoked") {
      if (data.key === apiKey()) leave("revoked", false);
    } else if (access.kind === "in") {
      forgetPreferences();
      startAnew();
    }
  };
}

export function useAccess(): Access {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => access,
  );
}
