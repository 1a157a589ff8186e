/** The signed-in user: identity, retention, export and erasure of their data. */

import { authorizationHeader, getJson, HttpError, request } from "./http";

export interface Me {
  id: string;
  name: string;
  role: "operator" | "member";
  /** How the user signed in. */
  via: "machine_key" | "api_key" | "key" | "proxy" | "open";
  keeping: {
    keep: boolean;
    /** Of conversations; 0: no limit. */
    retention_days: number;
    /** Of cloned voices; 0: no limit. */
    voice_retention_days: number;
  };
  /** The notice about recording, to be accepted before the first one. */
  notice: { version: string; accepted: boolean };
}

/** Version of the notice in `i18n/account.ts`: the user agrees to the text that was shown. */
export const NOTICE_VERSION = "1";

export const getMe = (): Promise<Me> => getJson("/api/me", { cache: "no-store" });

export const acceptNotice = (): Promise<Me> =>
  getJson("/api/me/notice", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ version: NOTICE_VERSION }),
  });

/** Result of erasing a user's data. */
export interface ErasureResult {
  /** The server is still deleting, and will finish by itself. */
  inProgress: boolean;
  sessions: number;
  voices: number;
  /** Descriptions of what could not be deleted. */
  remaining: string[];
}

/** Delete all data of this user. `confirm` is their name as they typed it. */
export async function eraseMyData(confirm: string): Promise<ErasureResult> {
  const response = await request("/api/me/forget", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ confirm }),
  });
  const raw = (await response.json()) as { sessions?: number; voices?: number; left?: unknown[] };
  return {
    inProgress: response.status === 202,
    sessions: raw.sessions ?? 0,
    voices: raw.voices ?? 0,
    remaining: (raw.left ?? []).map((one) => (typeof one === "string" ? one : JSON.stringify(one))),
  };
}

const SIGN_OUT_TIMEOUT_MS = 3_000;

/**
 * Tell the server that the user signs out; its answer makes the browser clear its storage.
 *
 * Never fails: the page clears its own data whether or not the server is reached.
 */
export async function notifySignOut(key: string): Promise<void> {
  try {
    const signal = AbortSignal.timeout(SIGN_OUT_TIMEOUT_MS);
    await fetch("/api/me/sign-out", { method: "POST", headers: authorizationHeader(key), keepalive: true, signal });
  } catch {
    // The server is unreachable, or slow.
  }
}

export type KeyCheckResult = "right" | "wrong" | "loading" | "offline";

/** Ask the server whether it accepts a key that is not in force yet. */
export async function checkKey(key: string): Promise<KeyCheckResult> {
  try {
    const { status } = await fetch("/api/status", { headers: authorizationHeader(key), cache: "no-store" });
    if (status === 401) return "wrong";
    return status === 503 ? "loading" : status < 400 ? "right" : "offline";
  } catch {
    return "offline";
  }
}

/** Data held in memory before it becomes a Blob, which the browser may keep on disk. */
const BUFFER_BYTES = 8 * 1024 * 1024;

/**
 * Fetch all data of this user as one ZIP archive.
 *
 * @param onProgress Called with the bytes received and their total; null: the total is unknown.
 */
export async function exportMyData(
  onProgress: (bytes: number, total: number | null) => void,
  signal: AbortSignal,
): Promise<Blob> {
  const response = await request("/api/me/export", { signal });
  const length = Number(response.headers.get("Content-Length"));
  const total = length > 0 && !response.headers.get("Content-Encoding") ? length : null;
  const reader = response.body?.getReader();
  if (!reader) throw new HttpError(response.status, "the archive is empty");
  const parts: BlobPart[] = [];
  let buffered: BlobPart[] = [];
  let bufferedBytes = 0;
  let bytes = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    buffered.push(part.value);
    bufferedBytes += part.value.byteLength;
    bytes += part.value.byteLength;
    if (bufferedBytes >= BUFFER_BYTES) {
      parts.push(new Blob(buffered));
      buffered = [];
      bufferedBytes = 0;
    }
    onProgress(bytes, total);
  }
  if (total !== null && bytes < total) throw new HttpError(response.status, "the archive ends too early");
  return new Blob([...parts, ...buffered], { type: "application/zip" });
}
