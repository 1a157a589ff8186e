/** Status of the server: whether it is ready, and how it can be reached. */

import type { ProbeResult } from "../realtime/clientOptions";
import type { Problem } from "../realtime/problems";
import { getJson, HttpError, UnauthorizedError } from "./http";

export interface Status {
  ready: boolean;
  /** 0 to 1, while it is loading; null: unknown. */
  progress: number | null;
  webrtc: boolean;
  iceServers: RTCIceServer[];
  version: string;
  /** The default voice. */
  voice: string;
  /** The server stores conversations. */
  storeEnabled: boolean;
}

interface RawStatus {
  status: string;
  progress?: number | null;
  transports?: { webrtc?: { available?: boolean; ice_servers?: RTCIceServer[] } };
  version?: string;
  voice?: string;
  kept?: boolean;
}

export async function getStatus(): Promise<Status> {
  const raw = await getJson<RawStatus>("/api/status", { cache: "no-store" });
  return {
    ready: raw.status === "ready",
    progress: raw.progress ?? null,
    webrtc: raw.transports?.webrtc?.available ?? true,
    iceServers: raw.transports?.webrtc?.ice_servers ?? [],
    version: raw.version ?? "",
    voice: raw.voice ?? "",
    storeEnabled: raw.kept ?? true,
  };
}

let storeEnabled: boolean | undefined;

/** Forget the answer: another user may get another one. */
export function resetStoreEnabled(): void {
  storeEnabled = undefined;
}

/** True if the server stores conversations; the answer is cached. */
export async function isStoreEnabled(): Promise<boolean> {
  if (storeEnabled === undefined) {
    const status = await getStatus();
    if (!status.ready) throw new Error("the server is still loading");
    storeEnabled = status.storeEnabled;
  }
  return storeEnabled;
}

/** Find out whether a conversation can begin, and by which transports. */
export async function probe(): Promise<ProbeResult> {
  try {
    const { ready, iceServers, webrtc } = await getStatus();
    return { problem: ready ? null : "loading", iceServers, webrtc };
  } catch (error) {
    return { problem: probeProblem(error), iceServers: [], webrtc: true };
  }
}

function probeProblem(error: unknown): Problem {
  if (error instanceof UnauthorizedError) return "key";
  return error instanceof HttpError ? "failed" : "offline";
}
