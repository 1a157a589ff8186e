/** Requests to the server this page came from. */

import { apiKey } from "./key";

/** The server wants an API key, or another one. */
export class NeedsKey extends Error {}

/** The server answered with an error. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
    /** In the server's words; empty where it gave none. */
    readonly code = "",
  ) {
    super(message);
  }
}

const listeners = new Set<(key: string) => void>();

/** Be told of every key that the server refuses; an empty one: none was shown. */
export function onRefusedKey(listener: (key: string) => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** The server did not accept `key`. What concerns a key that is no longer in force concerns nobody. */
export function refuseKey(key: string): NeedsKey {
  if (key === apiKey()) for (const listener of listeners) listener(key);
  return new NeedsKey("an API key is needed");
}

export function authorization(key: string): Record<string, string> {
  return key === "" ? {} : { Authorization: `Bearer ${key}` };
}

export async function request(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  const key = apiKey();
  for (const [name, value] of Object.entries(authorization(key))) headers.set(name, value);
  const response = await fetch(path, { ...init, headers });
  if (response.status === 401) throw refuseKey(key);
  if (!response.ok) throw await refused(response);
  return response;
}

export async function getJson<T>(path: string, init: RequestInit = {}): Promise<T> {
  return (await (await request(path, init)).json()) as T;
}

async function refused(response: Response): Promise<Refused> {
  try {
    const { error } = (await response.json()) as { error?: { message?: string; code?: string | null } };
    return new Refused(response.status, error?.message ?? response.statusText, error?.code ?? "");
  } catch {
    return new Refused(response.status, response.statusText);
  }
}
