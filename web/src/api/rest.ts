import type { Hq, Line } from "../realtime/session";
import { newLine } from "../realtime/session";
import type { Analysed, Timing } from "../realtime/protocol";
import { getJson, NeedsKey, Refused, request } from "./http";
import type { Found } from "../realtime/outfit";
import type { Problem } from "../realtime/problems";

export interface Session {
  id: string;
  started_at: string;
  turns: number;
  utterances: number;
  speech_s: number;
  title: string;
}

export interface Utterance {
  id: string;
  turn: number;
  speaker: "user" | "assistant";
  is_turn: boolean;
  started_at: string;
  duration_ms: number | null;
  transcript: string | null;
  heard_ms: number | null;
  heard_text: string | null;
  interrupted: boolean;
  voice: string;
  audio: string | null;
  /** The beautiful rendering of a reply; where there is no such thing it is not mentioned. */
  hq?: Hq | null;
  /** How it was spoken; where nothing is analysed it is not mentioned. */
  analysis?: Analysed | null;
}

export interface Turn {
  turn: number;
  timings: Partial<Timing>;
  failures: { stage?: string; kind?: string; message?: string }[];
}

export interface List<T> {
  data: T[];
  has_more?: boolean;
}

export const listSessions = (search: string, before?: string): Promise<List<Session>> => {
  const query = new URLSearchParams({ limit: "30", ...(search ? { search } : {}), ...(before ? { before } : {}) });
  return getJson(`/api/sessions?${query}`);
};

export const renameSession = (id: string, title: string): Promise<Response> =>
  request(`/api/sessions/${id}`, {
    method: "PATCH",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ title }),
  });

export const deleteSession = (id: string): Promise<Response> => request(`/api/sessions/${id}`, { method: "DELETE" });

export const getSession = (id: string): Promise<Session> => getJson(`/api/sessions/${id}`);

const PAGE = 500;

/** All of a list, page by page; `mark` of the last one says where the next page begins. */
export async function everyPage<T, L extends List<T>>(
  path: string,
  mark: (last: T) => string | number,
  init?: RequestInit,
): Promise<L> {
  const first = await getJson<L>(`${path}?limit=${PAGE}`, init);
  let page = first;
  const data = [...first.data];
  for (let last = data.at(-1); page.has_more && last !== undefined; last = page.data.at(-1)) {
    page = await getJson<L>(`${path}?limit=${PAGE}&after=${encodeURIComponent(mark(last))}`, init);
    data.push(...page.data);
  }
  return { ...first, data };
}

export const listUtterances = async (id: string): Promise<Utterance[]> =>
  (await everyPage<Utterance, List<Utterance>>(`/api/sessions/${id}/utterances`, (last) => last.id)).data;

export const listTurns = async (id: string): Promise<Turn[]> =>
  (await everyPage<Turn, List<Turn>>(`/api/sessions/${id}/turns`, (last) => last.turn)).data;

/** Everything said in an earlier session, as lines of the conversation. */
export async function loadLines(id: string): Promise<Line[]> {
  const [utterances, turns] = await Promise.all([listUtterances(id), listTurns(id)]);
  return linesOf(utterances, turns);
}

export function linesOf(utterances: readonly Utterance[], turns: readonly Turn[]): Line[] {
  const timings = new Map(turns.map((turn) => [turn.turn, turn.timings]));
  return utterances
    .filter((one) => one.is_turn)
    .map((one) => {
      const timing = timings.get(one.turn);
      return newLine(one.id, one.speaker, {
        turn: one.turn,
        text: one.transcript ?? "",
        status: one.interrupted ? "interrupted" : "done",
        heardText: one.interrupted ? (one.heard_text ?? "") : null,
        typed: one.speaker === "user" && one.audio === null,
        audio: one.audio,
        hq: hqOf(one),
        recording: one.id,
        analysis: one.analysis ?? null,
        timing: one.speaker === "assistant" && timing ? complete(timing) : null,
      });
    });
}

/** What there is, or is being made, of a beautiful rendering. */
export function hqOf({ hq }: Utterance): Hq | null {
  return hq && hq.state !== "cancelled" ? { state: hq.state, audio: hq.audio } : null;
}

function complete(timing: Partial<Timing>): Timing {
  const none = { endpoint_ms: null, transcript_ms: null, first_token_ms: null, first_clause_ms: null };
  const zero = { speech_s: 0, recognition_s: 0, tokens: 0, writing_s: 0, reply_audio_s: 0 };
  return { ...none, first_audio_ms: null, last_audio_ms: null, ...zero, ...timing };
}

export interface Status {
  ready: boolean;
  /** 0 to 1, while it is loading; null: unknown. */
  progress: number | null;
  webrtc: boolean;
  iceServers: RTCIceServer[];
  version: string;
  /** The server's own choice. */
  voice: string;
  /** Conversations are kept here. */
  kept: boolean;
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
    kept: raw.kept ?? true,
  };
}

let keeping: boolean | undefined;

/** Whoever comes next asks anew. */
export function forgetKeeping(): void {
  keeping = undefined;
}

/** Whether conversations are kept here; asked once, so that nothing is asked for in vain. */
export async function keeps(): Promise<boolean> {
  if (keeping === undefined) {
    const status = await getStatus();
    if (!status.ready) throw new Error("the server is still loading");
    keeping = status.kept;
  }
  return keeping;
}

/** Whether a conversation can begin, and how. */
export async function probe(): Promise<Found> {
  try {
    const { ready, iceServers, webrtc } = await getStatus();
    return { problem: ready ? null : "loading", iceServers, webrtc };
  } catch (error) {
    return { problem: probeProblem(error), iceServers: [], webrtc: true };
  }
}

function probeProblem(error: unknown): Problem {
  if (error instanceof NeedsKey) return "key";
  return error instanceof Refused ? "failed" : "offline";
}

/** A recording or sample, to be played here. */
export async function getSound(path: string): Promise<Blob> {
  return (await request(path)).blob();
}
