/** Events of the OpenAI Realtime protocol that this page uses, and the additional `kuaimei.*` events. */

export interface Timing {
  endpoint_ms: number | null;
  transcript_ms: number | null;
  first_token_ms: number | null;
  first_clause_ms: number | null;
  first_audio_ms: number | null;
  last_audio_ms: number | null;
  speech_s: number;
  recognition_s: number;
  tokens: number;
  writing_s: number;
  reply_audio_s: number;
}

export interface ContentPart {
  type: string;
  text?: string | null;
  transcript?: string | null;
}

export interface ConversationItem {
  id: string;
  type: string;
  role?: string;
  status?: string;
  content?: ContentPart[];
}

export interface ProtocolError {
  type?: string;
  code?: string | null;
  message: string;
  event_id?: string | null;
}

export interface SessionInfo {
  id: string;
  audio?: { output?: { voice?: string; speed?: number } };
}

interface ReplyRef {
  turn: number;
  response_id: string;
  item_id: string;
}

/** The HQ rendering of a reply is ready. */
export interface HqReady {
  type: "kuaimei.reply.hq_ready";
  turn: number;
  /** Null for a reply of an earlier connection; its item id is then that of the stored utterance. */
  response_id: string | null;
  item_id: string;
  /** Id of the stored utterance. */
  recording: string;
  audio: string;
  duration_ms: number;
  clauses: { index: number; start_ms: number; end_ms: number }[];
}

/** The analysis of an utterance has finished, with scores or without. */
export interface AnalysisScored extends AnalysisSummary {
  type: "kuaimei.analysis.scored";
  item_id: string;
  /** Id of the stored utterance. */
  recording: string;
}

/** Scores of an utterance, 0 to 1 each; null: not scored. */
export interface AnalysisSummary {
  state: "waiting" | "scored" | "unscored";
  confidence: number | null;
  stability: number | null;
  affability: number | null;
}

export type ServerEvent =
  | { type: "session.created" | "session.updated"; session: SessionInfo }
  | { type: "error"; error: ProtocolError }
  | { type: "input_audio_buffer.speech_started"; item_id: string; audio_start_ms: number }
  | { type: "input_audio_buffer.speech_stopped"; item_id: string; audio_end_ms: number }
  | { type: "input_audio_buffer.committed"; item_id: string }
  | { type: "conversation.item.added"; item: ConversationItem }
  | { type: "conversation.item.deleted"; item_id: string }
  | { type: "conversation.item.input_audio_transcription.completed"; item_id: string; transcript: string }
  | { type: "conversation.item.input_audio_transcription.failed"; item_id: string; error: ProtocolError }
  | { type: "response.created"; response: { id: string } }
  | { type: "response.output_item.added"; response_id: string; item: ConversationItem }
  | { type: "response.output_audio_transcript.delta" | "response.output_text.delta"; item_id: string; delta: string }
  | { type: "response.output_audio.delta"; response_id: string; item_id: string; delta: string }
  | {
      type: "response.done";
      response: { id: string; status: string; output?: ConversationItem[]; status_details?: { error?: ProtocolError } | null };
    }
  | {
      type: "output_audio_buffer.started" | "output_audio_buffer.stopped" | "output_audio_buffer.cleared";
      response_id: string;
    }
  | { type: "kuaimei.queue"; place: number }
  | { type: "kuaimei.goodbye"; code: number; reason: string; error: string | null }
  | { type: "kuaimei.reply.playing"; turn: number; item_id: string; played_ms: number }
  | { type: "kuaimei.state"; turn: number; state: Phase }
  | { type: "kuaimei.caption"; turn: number; item_id: string; text: string }
  | { type: "kuaimei.speech.dropped"; turn: number; item_id: string; text: string }
  | (ReplyRef & { type: "kuaimei.clause"; index: number; text: string; start_ms: number })
  | (ReplyRef & { type: "kuaimei.reply.held" | "kuaimei.reply.resumed"; heard_ms: number })
  | (ReplyRef & { type: "kuaimei.reply.interrupted"; heard_ms: number; heard_text: string; reason: string })
  | HqReady
  | AnalysisScored
  | { type: "kuaimei.turn.failed"; turn: number; stage: string; kind: string; message: string; apology: string }
  | ({ type: "kuaimei.turn.timing"; turn: number } & Timing);

export type Phase = "listening" | "thinking" | "speaking";

export type ClientEvent = { type: string; event_id?: string } & Record<string, unknown>;

/** Parse a server event; undefined if the text is none. Unknown types pass and are ignored. */
export function parseEvent(text: string): ServerEvent | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const known = typeof value === "object" && value !== null && typeof (value as { type?: unknown }).type === "string";
    return known ? (value as ServerEvent) : undefined;
  } catch {
    return undefined;
  }
}

/** Prefix of the ids of client events whose errors are expected and not shown. */
export const IGNORED_ERROR_PREFIX = "quiet_";

let counter = 0;

export function newId(prefix: string): string {
  counter += 1;
  return `${prefix}${Date.now().toString(36)}${counter.toString(36)}${Math.random().toString(36).slice(2, 8)}`;
}
