/** The user's preferences, stored in this browser. */

import { useSyncExternalStore } from "react";

import { detectLocale, type Locale } from "../i18n";
import type { ClientPreferences } from "../realtime/clientEvents";

export interface Preferences extends ClientPreferences {
  locale: Locale;
  scheme: "light" | "dark" | "auto";
  /** Compare the user's speech with earlier speech in this browser. */
  compare: boolean;
  /** Random id of this browser's user; empty: none was needed yet. */
  person: string;
  /** Name of the person who rates utterances on the labelling page. */
  rater: string;
}

const STORAGE_KEY = "kuaimei.preferences"; // public/before-paint.js reads it too

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

function loadPreferences(): Preferences {
  const initial: Preferences = { ...DEFAULTS, locale: detectLocale(navigator.languages) };
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(STORAGE_KEY) ?? "{}");
    return typeof stored === "object" && stored !== null ? { ...initial, ...stored } : initial;
  } catch {
    return initial;
  }
}

let current = loadPreferences();
const listeners = new Set<() => void>();

export function getPreferences(): Preferences {
  return current;
}

export function setPreferences(changes: Partial<Preferences>): void {
  current = { ...current, ...changes };
  try {
    localStorage.setItem(STORAGE_KEY, JSON.stringify(current));
  } catch {
    // Storage is forbidden: the preferences last as long as the page.
  }
  for (const listener of listeners) listener();
}

/** Reset to the defaults, except for language and colour scheme. */
export function resetPreferences(): void {
  current = { ...DEFAULTS, locale: current.locale, scheme: current.scheme };
  for (const listener of listeners) listener();
}

/** Id of the person who speaks in this browser; null if speech is not to be compared. */
export function getPersonId(): string | null {
  if (!current.compare) return null;
  if (current.person === "") setPreferences({ person: newPersonId() });
  return current.person;
}

/** `crypto.randomUUID` is not available on pages from plain http. */
function newPersonId(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function usePreferences(): Preferences {
  return useSyncExternalStore(subscribe, getPreferences);
}
