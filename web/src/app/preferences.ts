/** What this browser remembers of its user. */

import { useSyncExternalStore } from "react";

import { detect, type Locale } from "../i18n";
import type { Wishes } from "../realtime/commands";

export interface Preferences extends Wishes {
  locale: Locale;
  scheme: "light" | "dark" | "auto";
  /** Compare how one speaks with what was said earlier at this browser. */
  compare: boolean;
  /** Random, and only this browser's; empty: none was needed yet. */
  person: string;
  /** Who rates how others speak, on the page for that. */
  rater: string;
}

const NAME = "kuaimei.preferences"; // public/before-paint.js reads it too

const DEFAULTS: Omit<Preferences, "locale"> = {
  scheme: "auto",
  mode: "hands-free",
  transport: "auto",
  voice: "",
  speed: 1,
  language: "auto",
  microphone: "",
  swap: true,
  compare: true,
  person: "",
  rater: "",
};

function load(): Preferences {
  const first: Preferences = { ...DEFAULTS, locale: detect(navigator.languages) };
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(NAME) ?? "{}");
    return typeof kept === "object" && kept !== null ? { ...first, ...kept } : first;
  } catch {
    return first;
  }
}

let current = load();
const listeners = new Set<() => void>();

export function preferences(): Preferences {
  return current;
}

export function prefer(part: Partial<Preferences>): void {
  current = { ...current, ...part };
  try {
    localStorage.setItem(NAME, JSON.stringify(current));
  } catch {
    // A browser that stores nothing forgets it with the page.
  }
  for (const listener of listeners) listener();
}

/** Forget what this browser knew of its user; how the page looks stays until it is closed. */
export function forgetPreferences(): void {
  current = { ...DEFAULTS, locale: current.locale, scheme: current.scheme };
  for (const listener of listeners) listener();
}

/** Who speaks at this browser, if that is to be remembered. */
export function personOf(): string | null {
  if (!current.compare) return null;
  if (current.person === "") prefer({ person: anybody() });
  return current.person;
}

/** `crypto.randomUUID` is not given to pages from plain http. */
function anybody(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function usePreferences(): Preferences {
  return useSyncExternalStore(subscribe, preferences);
}
