/** Stored conversations: sessions, utterances and turns. */

import type { AnalysisSummary, Timing } from "../realtime/protocol";
import { newMessage, type HqRendering, type Message } from "../realtime/session";
import { getJson, request } from "./http";
import { getAllPages, type Page } from "./pagination";

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
  /** The HQ rendering of a reply; absent where the server makes none. */
  hq?: HqRendering | null;
  /** How it was spoken; absent where the server analyses nothing. */
  analysis?: AnalysisSummary | null;
}

export interface Turn {
  turn: number;
  timings: Partial<Timing>;
  failures: { stage?: string; kind?: string; message?: string }[];
}

export const listSessions = (search: string, before?: string): Promise<Page<Session>> => {
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

export const listUtterances = async (id: string): Promise<Utterance[]> =>
  (await getAllPages<Utterance, Page<Utterance>>(`/api/sessions/${id}/utterances`, (last) => last.id)).data;

export const listTurns = async (id: string): Promise<Turn[]> =>
  (await getAllPages<Turn, Page<Turn>>(`/api/sessions/${id}/turns`, (last) => last.turn)).data;

/** Fetch an earlier session as messages of a conversation. */
export async function loadMessages(id: string): Promise<Message[]> {
  const [utterances, turns] = await Promise.all([listUtterances(id), listTurns(id)]);
  return messagesOf(utterances, turns);
}

export function messagesOf(utterances: readonly Utterance[], turns: readonly Turn[]): Message[] {
  const timings = new Map(turns.map((turn) => [turn.turn, turn.timings]));
  return utterances
    .filter((one) => one.is_turn)
    .map((one) => {
      const timing = timings.get(one.turn);
      return newMessage(one.id, one.speaker, {
        turn: one.turn,
        text: one.transcript ?? "",
        status: one.interrupted ? "interrupted" : "done",
        heardText: one.interrupted ? (one.heard_text ?? "") : null,
        typed: one.speaker === "user" && one.audio === null,
        audio: one.audio,
        hq: hqRenderingOf(one),
        recordingId: one.id,
        analysis: one.analysis ?? null,
        timing: one.speaker === "assistant" && timing ? toTiming(timing) : null,
      });
    });
}

/** The HQ rendering of an utterance, finished or not; null: there is none, and none is being made. */
export function hqRenderingOf({ hq }: Utterance): HqRendering | null {
  return hq && hq.state !== "cancelled" ? { state: hq.state, audio: hq.audio } : null;
}

function toTiming(timing: Partial<Timing>): Timing {
  const none = { endpoint_ms: null, transcript_ms: null, first_token_ms: null, first_clause_ms: null };
  const zero = { speech_s: 0, recognition_s: 0, tokens: 0, writing_s: 0, reply_audio_s: 0 };
  return { ...none, first_audio_ms: null, last_audio_ms: null, ...zero, ...timing };
}
