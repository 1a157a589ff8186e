/** HTTP requests to the server of this page. */

import { apiKey } from "./key";

/** HTTP 401: an API key is needed, or another one. */
export class UnauthorizedError extends Error {}

/** The server answered with an error status. */
export class HttpError extends Error {
  constructor(
    readonly status: number,
    message: string,
    /** Error code of the server; empty: it gave none. */
    readonly code = "",
  ) {
    super(message);
  }
}

const listeners = new Set<(key: string) => void>();

/** Subscribe to keys that the server refuses; an empty one: the request had none. */
export function onKeyRefused(listener: (key: string) => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Tell the listeners that the server refused `key`, unless another key is in force by now. */
export function reportRefusedKey(key: string): UnauthorizedError {
  if (key === apiKey()) for (const listener of listeners) listener(key);
  return new UnauthorizedError("an API key is needed");
}

export function authorizationHeader(key: string): Record<string, string> {
  return key === "" ? {} : { Authorization: `Bearer ${key}` };
}

export async function request(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  const key = apiKey();
  for (const [name, value] of Object.entries(authorizationHeader(key))) headers.set(name, value);
  const response = await fetch(path, { ...init, headers });
  if (response.status === 401) throw reportRefusedKey(key);
  if (!response.ok) throw await toHttpError(response);
  return response;
}

export async function getJson<T>(path: string, init: RequestInit = {}): Promise<T> {
  return (await (await request(path, init)).json()) as T;
}

/** Fetch a recording or another file. */
export async function getBlob(path: string): Promise<Blob> {
  return (await request(path)).blob();
}

async function toHttpError(response: Response): Promise<HttpError> {
  try {
    const { error } = (await response.json()) as { error?: { message?: string; code?: string | null } };
    return new HttpError(response.status, error?.message ?? response.statusText, error?.code ?? "");
  } catch {
    return new HttpError(response.status, response.statusText);
  }
}
