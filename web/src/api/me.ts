/** Who uses this page, what is kept of them, and what they can do about it. */

import { authorization, getJson, Refused, request } from "./http";

export interface Me {
  id: string;
  name: string;
  role: "operator" | "member";
  /** How they came in. */
  via: "machine_key" | "api_key" | "key" | "proxy" | "open";
  keeping: {
    keep: boolean;
    /** Of conversations; 0: until somebody deletes them. */
    retention_days: number;
    /** Of cloned voices; 0: until somebody deletes them. */
    voice_retention_days: number;
  };
  /** Of the recording, to be accepted before the first one. */
  notice: { version: string; accepted: boolean };
}

/** Of the notice as this page words it (`i18n/account.ts`): what somebody agrees to is what they were shown. */
export const NOTICE_VERSION = "1";

export const getMe = (): Promise<Me> => getJson("/api/me", { cache: "no-store" });

export const acceptNotice = (): Promise<Me> =>
  getJson("/api/me/notice", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ version: NOTICE_VERSION }),
  });

/** What was deleted of a person. */
export interface Forgotten {
  /** It has not come to its end yet, and does so by itself. */
  going: boolean;
  sessions: number;
  voices: number;
  /** What could not be deleted, in words. */
  left: string[];
}

/** Delete everything of this person. `confirm` is their name, as they typed it. */
export async function forgetMe(confirm: string): Promise<Forgotten> {
  const response = await request("/api/me/forget", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ confirm }),
  });
  const raw = (await response.json()) as { sessions?: number; voices?: number; left?: unknown[] };
  return {
    going: response.status === 202,
    sessions: raw.sessions ?? 0,
    voices: raw.voices ?? 0,
    left: (raw.left ?? []).map((one) => (typeof one === "string" ? one : JSON.stringify(one))),
  };
}

const PATIENCE_MS = 3_000;

/**
 * Tell the server that somebody leaves; its answer has the browser clear what it kept.
 *
 * Never fails: everything here is forgotten whether or not the server hears of it.
 */
export async function sayGoodbye(key: string): Promise<void> {
  try {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    await fetch("/api/me/sign-out", { method: "POST", headers: authorization(key), keepalive: true, signal });
  } catch {
    // It is away, or slow.
  }
}

export type Verdict = "right" | "wrong" | "loading" | "offline";

/** Whether the server accepts a key that is not in force yet. */
export async function tryKey(key: string): Promise<Verdict> {
  try {
    const { status } = await fetch("/api/status", { headers: authorization(key), cache: "no-store" });
    if (status === 401) return "wrong";
    return status === 503 ? "loading" : status < 400 ? "right" : "offline";
  } catch {
    return "offline";
  }
}

/** Sound held in memory before it is handed to the browser, which may put it on the disk. */
const GATHERED_BYTES = 8 * 1024 * 1024;

/**
 * Fetch everything of this person as one ZIP archive.
 *
 * @param came Told how many bytes are here, and of how many; null: the server does not know.
 */
export async function exportMe(
  came: (bytes: number, of: number | null) => void,
  signal: AbortSignal,
): Promise<Blob> {
  const response = await request("/api/me/export", { signal });
  const length = Number(response.headers.get("Content-Length"));
  const of = length > 0 && !response.headers.get("Content-Encoding") ? length : null;
  const reader = response.body?.getReader();
  if (!reader) throw new Refused(response.status, "the archive is empty");
  const parts: BlobPart[] = [];
  let gathered: BlobPart[] = [];
  let waiting = 0;
  let bytes = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    gathered.push(part.value);
    waiting += part.value.byteLength;
    bytes += part.value.byteLength;
    if (waiting >= GATHERED_BYTES) {
      parts.push(new Blob(gathered));
      gathered = [];
      waiting = 0;
    }
    came(bytes, of);
  }
  if (of !== null && bytes < of) throw new Refused(response.status, "the archive ends too early");
  return new Blob([...parts, ...gathered], { type: "application/zip" });
}
