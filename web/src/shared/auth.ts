/** Authentication: whether the user is signed in, signing in and out. */

import { useSyncExternalStore } from "react";

import { onKeyRefused, UnauthorizedError } from "../api/http";
import { apiKey, clearKey, clearRefusedKey, migrateKey, storeKey, takeKeyFromAddress, wasKeyFromAddress } from "../api/key";
import { notifySignOut } from "../api/me";
import { getStatus, resetStoreEnabled } from "../api/status";
import { client } from "./client";
import { clearCurrentUser, getCurrentUser } from "./currentUser";
import { resetPreferences } from "./preferences";
import { refuseConsent } from "./recordingConsent";

/** Why the user is asked to sign in. */
export type SignedOutReason =
  | "none" // there was no key
  | "refused" // the server does not accept the stored key
  | "revoked" // the key was revoked while it was in use
  | "left"; // the user signed out

export type AuthState =
  | { kind: "finding" }
  | { kind: "in"; visit: number; fromAddress: boolean }
  | { kind: "out"; reason: SignedOutReason };

const CHANNEL = "kuaimei.access";

/** Message to the other tabs: the user signed out, the key was revoked, or the browser's data was cleared. */
interface TabMessage {
  what: "left" | "revoked" | "anew";
  key: string;
}

let authState: AuthState = { kind: "finding" };
let visitCount = 0;
/** The request that tells the server of the last sign-out. */
let pendingSignOut: Promise<void> = Promise.resolve();
/** The server has accepted the key in force. */
let keyAccepted = false;
/** The key with which this visit began. */
let visitKey = "";
const listeners = new Set<() => void>();
let tabChannel: BroadcastChannel | undefined;

function setAuthState(state: AuthState): void {
  authState = state;
  for (const listener of listeners) listener();
}

function startVisit(): void {
  visitCount += 1;
  keyAccepted = false;
  visitKey = apiKey();
  setAuthState({ kind: "in", visit: visitCount, fromAddress: wasKeyFromAddress() });
  const visit = visitCount;
  void getCurrentUser().then((me) => {
    if (me !== null && visit === visitCount) keyAccepted = true;
  });
}

/** Find out whether a key is needed, and watch for its revocation. Call once. */
export function initAuth(): void {
  migrateKey();
  takeKeyFromAddress();
  onKeyRefused((key) => endVisit(key === "" ? "none" : keyAccepted ? "revoked" : "refused"));
  client.subscribe(() => {
    const { problem } = client.snapshot();
    if (problem === "revoked") endVisit("revoked");
    if (problem === "key") endVisit(apiKey() === "" ? "none" : keyAccepted ? "revoked" : "refused");
  });
  window.addEventListener("hashchange", () => {
    if (takeKeyFromAddress()) restartVisit(); // the page may show data of another user
  });
  // The back button restores a page as it was, even if the user has signed out since.
  window.addEventListener("pageshow", ({ persisted }) => {
    if (persisted && apiKey() !== visitKey) location.reload();
  });
  watchOtherTabs();
  if (apiKey() !== "") {
    startVisit();
    return;
  }
  getStatus().then(startVisit, (error: unknown) => {
    // For a missing key the listener above has shown the sign-in; the page shows other errors itself.
    if (!(error instanceof UnauthorizedError)) startVisit();
  });
}

/** Sign in with a key that the server accepts. */
export async function signIn(key: string, remember: boolean): Promise<void> {
  await pendingSignOut; // its answer clears the storage, and would clear this key with it
  storeKey(key, remember);
  startVisit();
}

/** Sign out at once and in all tabs, whether or not the server can be reached. */
export function signOut(): void {
  const key = apiKey();
  endVisit("left");
  pendingSignOut = notifySignOut(key);
}

/** Start a new visit of the same user: everything that the page shows is discarded. */
export function restartVisit(): void {
  client.reset();
  clearCurrentUser();
  resetStoreEnabled();
  startVisit();
}

/** Clear the data of this browser, on servers without sign-in, and start a new visit. */
export function clearThisBrowser(): void {
  clearBrowserData();
  notifyOtherTabs("anew", apiKey());
  restartVisit();
  pendingSignOut = notifySignOut(apiKey());
}

/** @param broadcast Tell the other tabs as well. */
function endVisit(reason: SignedOutReason, broadcast = true): void {
  if (authState.kind === "out") return;
  const key = apiKey();
  authState = { kind: "out", reason }; // set first: some of the calls below would end up here again
  client.reset();
  refuseConsent();
  clearCurrentUser();
  resetStoreEnabled();
  keyAccepted = false;
  if (reason === "refused" && clearRefusedKey()) {
    startVisit(); // the key of the address is invalid, and this device is remembered with another one
    return;
  }
  clearKey();
  if (reason === "revoked" || reason === "left") {
    clearBrowserData();
    if (broadcast) notifyOtherTabs(reason, key);
  }
  visitCount += 1;
  setAuthState(authState);
}

function clearBrowserData(): void {
  for (const storage of ["localStorage", "sessionStorage"] as const) {
    try {
      window[storage].clear();
    } catch {
      // Storage is forbidden, so there is nothing to clear.
    }
  }
  if ("caches" in window) {
    void caches.keys().then((names) => names.forEach((name) => void caches.delete(name)), () => undefined);
  }
  resetPreferences();
  history.replaceState(null, "", location.pathname);
}

function notifyOtherTabs(what: TabMessage["what"], key: string): void {
  tabChannel?.postMessage({ what, key } satisfies TabMessage);
}

function watchOtherTabs(): void {
  if (typeof BroadcastChannel === "undefined") return;
  tabChannel = new BroadcastChannel(CHANNEL);
  tabChannel.onmessage = ({ data }: MessageEvent<TabMessage>) => {
    if (data.what === "left") endVisit("left", false);
    else if (data.what === "revoked") {
      if (data.key === apiKey()) endVisit("revoked", false);
    } else if (authState.kind === "in") {
      resetPreferences();
      restartVisit();
    }
  };
}

export function useAuth(): AuthState {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => authState,
  );
}
