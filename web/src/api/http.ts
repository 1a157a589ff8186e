/** Requests to the server this page came from. */

const KEY = "kuaimei.key";

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

export function apiKey(): string {
  try {
    return localStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

export function rememberKey(key: string): void {
  try {
    localStorage.setItem(KEY, key);
  } catch {
    // A browser that stores nothing asks again next time.
  }
}

export async function request(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  const key = apiKey();
  if (key) headers.set("Authorization", `Bearer ${key}`);
  const response = await fetch(path, { ...init, headers });
  if (response.status === 401) throw new NeedsKey("an API key is needed");
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
