/** State of a conversation, computed from its events by a pure reducer. */

import type { AnalysisSummary, ConversationItem, Phase, ProtocolError, ServerEvent, Timing } from "./protocol";

export interface Clause {
  text: string;
  startMs: number;
}

/** The HQ rendering of a reply. */
export interface HqRendering {
  state: "queued" | "rendering" | "ready" | "failed" | "cancelled";
  /** Address of the audio; may be set while a newer rendering is being made. */
  audio: string | null;
}

export type MessageStatus =
  | "hearing" // the user is speaking
  | "recognising"
  | "writing" // the reply is being generated
  | "done"
  | "interrupted"
  | "failed";

export interface Message {
  /** Id of the protocol's item; in an earlier session that of the utterance. */
  id: string;
  role: "user" | "assistant";
  turn: number | null;
  text: string;
  status: MessageStatus;
  typed: boolean;
  clauses: Clause[];
  /** The part of an interrupted reply that was heard. */
  heardText: string | null;
  timing: Timing | null;
  failure: { message: string; apology: string } | null;
  /** Address of the recording, once it is stored. */
  audio: string | null;
  /** The audio was deleted: with the voice it was spoken in, or by itself. */
  audioDeleted: boolean;
  /** Null: there is no HQ rendering, and none is being made. */
  hq: HqRendering | null;
  /** Id of the stored utterance, once it is stored. */
  recordingId: string | null;
  /** How it was spoken; null: it is not analysed. */
  analysis: AnalysisSummary | null;
}

/** What the server has stored of a message. */
export interface Recording {
  id: string;
  turn: number;
  role: Message["role"];
  audio: string;
  hq: HqRendering | null;
  analysis: AnalysisSummary | null;
}

export interface SessionState {
  id: string | null;
  voice: string | null;
  phase: Phase;
  /** The user is speaking right now. */
  userSpeaking: boolean;
  turn: number;
  messages: Message[];
  /** The response in progress. */
  response: { id: string; itemId: string | null } | null;
  held: boolean;
  /** Latest error to be shown. */
  error: ProtocolError | null;
}

export const EMPTY_SESSION: SessionState = {
  id: null,
  voice: null,
  phase: "listening",
  userSpeaking: false,
  turn: 0,
  messages: [],
  response: null,
  held: false,
  error: null,
};

export type SessionAction =
  | ServerEvent
  | { type: "local.typed"; id: string; text: string }
  | { type: "local.removed"; ids: string[] }
  | { type: "local.loaded"; session: string; messages: Message[] }
  | { type: "local.recordings"; found: Recording[]; audioDeleted?: string[] }
  | { type: "local.gone"; audio: string }
  | { type: "local.disconnected" }
  | { type: "local.dismissed" };

export function newMessage(id: string, role: Message["role"], part: Partial<Message> = {}): Message {
  return {
    id,
    role,
    turn: null,
    text: "",
    status: "done",
    typed: false,
    clauses: [],
    heardText: null,
    timing: null,
    failure: null,
    audio: null,
    audioDeleted: false,
    hq: null,
    recordingId: null,
    analysis: null,
    ...part,
  };
}

export function reduce(state: SessionState, event: SessionAction): SessionState {
  switch (event.type) {
    case "session.created":
    case "session.updated":
      return { ...state, id: event.session.id, voice: event.session.audio?.output?.voice ?? state.voice };
    case "error":
      return { ...state, error: event.error };
    case "kuaimei.state":
      return { ...state, phase: event.state, turn: Math.max(state.turn, event.turn) };
    case "input_audio_buffer.speech_started":
      return startUserMessage({ ...state, userSpeaking: true }, event.item_id);
    case "input_audio_buffer.speech_stopped":
      return { ...state, userSpeaking: false };
    case "kuaimei.caption": {
      // A caption may arrive after the final transcript.
      if (!activeUserMessage(state) && state.messages.some((message) => message.id === event.item_id)) return state;
      const heard = startUserMessage(state, event.item_id, event.turn);
      return updateMessage(heard, activeUserMessage(heard)?.id, { text: event.text, turn: event.turn });
    }
    case "kuaimei.speech.dropped": {
      const dropped = { ...state, userSpeaking: false };
      return { ...dropped, messages: dropped.messages.filter((message) => message.status !== "hearing") };
    }
    case "input_audio_buffer.committed":
      return commitUserMessage({ ...state, userSpeaking: false }, event.item_id);
    case "conversation.item.input_audio_transcription.completed":
      return updateMessage(state, event.item_id, { text: event.transcript, status: "done" });
    case "conversation.item.input_audio_transcription.failed":
      return updateMessage(state, event.item_id, { status: "failed" });
    case "conversation.item.added":
      return addTypedItem(state, event.item);
    case "conversation.item.deleted":
      return removeMessages(state, [event.item_id]);
    case "response.created":
      return { ...state, response: { id: event.response.id, itemId: null } };
    case "response.output_item.added":
      return startReply(state, event.response_id, event.item.id);
    case "response.output_audio_transcript.delta":
    case "response.output_text.delta": {
      const message = state.messages.find((one) => one.id === event.item_id);
      return message ? updateMessage(state, message.id, { text: message.text + event.delta }) : state;
    }
    case "kuaimei.clause": {
      const message = state.messages.find((one) => one.id === event.item_id);
      if (!message) return state;
      const clauses = [...message.clauses];
      clauses[event.index] = { text: event.text, startMs: event.start_ms };
      return updateMessage(state, message.id, { clauses, turn: event.turn });
    }
    case "kuaimei.reply.hq_ready":
      return updateMessage(state, findMessageId(state, event.item_id, event.recording), { hq: { state: "ready", audio: event.audio } });
    case "kuaimei.analysis.scored": {
      const { confidence, stability, affability } = event;
      const analysis: AnalysisSummary = { state: event.state, confidence, stability, affability };
      return updateMessage(state, findMessageId(state, event.item_id, event.recording), { recordingId: event.recording, analysis });
    }
    case "kuaimei.reply.held":
      return { ...state, held: true };
    case "kuaimei.reply.resumed":
      return { ...state, held: false };
    case "kuaimei.reply.interrupted":
      return updateMessage({ ...state, held: false }, event.item_id, {
        status: "interrupted",
        heardText: event.heard_text,
        turn: event.turn,
      });
    case "response.done":
      return finishResponse(state, event.response);
    case "kuaimei.turn.failed":
      return addFailure(state, event.turn, event.stage, event.message, event.apology);
    case "kuaimei.turn.timing": {
      const { type: _type, turn, ...timing } = event;
      return setTiming(state, turn, timing);
    }
    case "local.typed":
      return { ...state, messages: [...state.messages, newMessage(event.id, "user", { text: event.text, typed: true })] };
    case "local.removed":
      return removeMessages(state, event.ids);
    case "local.loaded":
      return { ...EMPTY_SESSION, id: event.session, messages: event.messages, turn: lastTurn(event.messages) };
    case "local.recordings":
      return markAudioDeleted(mergeRecordings(state, event.found), event.audioDeleted ?? []);
    case "local.gone":
      return removeAudio(state, event.audio);
    case "local.disconnected":
      return closeOpenMessages(state);
    case "local.dismissed":
      return { ...state, error: null };
    default:
      return state;
  }
}

function updateMessage(state: SessionState, id: string | undefined, part: Partial<Message>): SessionState {
  return { ...state, messages: state.messages.map((message) => (message.id === id ? { ...message, ...part } : message)) };
}

/** Id of the message of an item; of an earlier connection only the recording's id is known. */
function findMessageId(state: SessionState, itemId: string, recordingId: string): string | undefined {
  return state.messages.find(
    (message) => message.id === itemId || message.id === recordingId || message.recordingId === recordingId,
  )?.id;
}

function removeMessages(state: SessionState, ids: string[]): SessionState {
  return { ...state, messages: state.messages.filter((message) => !ids.includes(message.id)) };
}

function activeUserMessage(state: SessionState): Message | undefined {
  return state.messages.findLast((message) => message.status === "hearing");
}

/** Add a message for what the user is saying. A resumed turn keeps its id until it is committed again. */
function startUserMessage(state: SessionState, id: string, turn: number | null = null): SessionState {
  if (activeUserMessage(state)) return state;
  const taken = state.messages.some((message) => message.id === id);
  const message = newMessage(taken ? `${id}+` : id, "user", { status: "hearing", turn });
  return { ...state, messages: [...state.messages, message] };
}

function commitUserMessage(state: SessionState, id: string): SessionState {
  const message = activeUserMessage(state);
  if (message) return updateMessage(state, message.id, { id, status: "recognising" });
  if (state.messages.some((one) => one.id === id)) return updateMessage(state, id, { status: "recognising" });
  return { ...state, messages: [...state.messages, newMessage(id, "user", { status: "recognising" })] };
}

function addTypedItem(state: SessionState, item: ConversationItem): SessionState {
  const part = item.content?.find((one) => one.type === "input_text");
  if (item.role !== "user" || !part || state.messages.some((message) => message.id === item.id)) return state;
  return { ...state, messages: [...state.messages, newMessage(item.id, "user", { text: part.text ?? "", typed: true })] };
}

function startReply(state: SessionState, responseId: string, id: string): SessionState {
  // The failure is reported first; the spoken apology then replaces the message that reported it.
  const previous = state.messages.at(-1);
  const failure = previous?.id === failureId(state.turn) ? previous.failure : null;
  const messages = failure ? state.messages.slice(0, -1) : state.messages;
  const message = newMessage(id, "assistant", { status: "writing", turn: state.turn || null, failure });
  return { ...state, messages: [...messages, message], response: { id: responseId, itemId: id }, held: false };
}

const failureId = (turn: number): string => `failure_${turn}`;

function finishResponse(
  state: SessionState,
  response: { id: string; status: string; output?: ConversationItem[]; status_details?: { error?: ProtocolError } | null },
): SessionState {
  const id = state.response?.id === response.id ? state.response.itemId : response.output?.[0]?.id;
  const message = state.messages.find((one) => one.id === id);
  const active = state.response?.id === response.id ? null : state.response;
  const next = { ...state, response: active };
  if (!message || message.status !== "writing") return next;
  const status = response.status === "completed" ? "done" : response.status === "failed" ? "failed" : "interrupted";
  return updateMessage(next, message.id, { status });
}

function addFailure(state: SessionState, turn: number, stage: string, message: string, apology: string): SessionState {
  const failure = { message, apology };
  const role = stage === "listening" || stage === "recognition" ? "user" : "assistant";
  const existing = state.messages.findLast((one) => one.role === role && (one.turn === turn || one.turn === null));
  if (existing && (existing.turn === turn || existing.status !== "done")) return updateMessage(state, existing.id, { failure, turn });
  const notice = newMessage(failureId(turn), "assistant", { turn, status: "failed", failure });
  return { ...state, messages: [...state.messages.filter((one) => one.id !== notice.id), notice] };
}

function setTiming(state: SessionState, turn: number, timing: Timing): SessionState {
  const message = state.messages.findLast((one) => one.role === "assistant" && one.turn === turn);
  return message ? updateMessage(state, message.id, { timing }) : state;
}

function mergeRecordings(state: SessionState, found: readonly Recording[]): SessionState {
  const used = new Set<string>();
  const messages = state.messages.map((message, index) => {
    const turn = message.turn ?? inferTurn(state.messages, index);
    const match = found.find((one) => one.role === message.role && one.turn === turn && !used.has(one.audio));
    if (!match || message.typed) return message;
    used.add(match.audio);
    // The list may have been requested before the rendering was ready, and arrive after it.
    const hq = message.hq?.state === "ready" ? message.hq : match.hq;
    const analysed = message.analysis !== null && message.analysis.state !== "waiting";
    const analysis = analysed ? message.analysis : match.analysis;
    const known =
      message.audio === match.audio &&
      message.hq?.state === hq?.state &&
      message.hq?.audio === hq?.audio &&
      message.analysis?.state === analysis?.state;
    return known ? message : { ...message, audio: match.audio, hq, recordingId: match.id, analysis, turn };
  });
  return { ...state, messages };
}

/** Mark the messages of these utterances: the server has deleted their audio. */
function markAudioDeleted(state: SessionState, ids: readonly string[]): SessionState {
  if (ids.length === 0) return state;
  const messages = state.messages.map((message) => {
    const hadAudio = message.audio !== null && message.recordingId !== null && ids.includes(message.recordingId);
    return hadAudio ? { ...message, audio: null, hq: null, analysis: null, audioDeleted: true } : message;
  });
  return { ...state, messages };
}

/** Remove an audio address that the server answers with 404: it was deleted meanwhile. */
function removeAudio(state: SessionState, audio: string): SessionState {
  const messages = state.messages.map((message): Message => {
    if (message.audio === audio) return { ...message, audio: null, hq: null, analysis: null, audioDeleted: true };
    return message.hq?.audio === audio ? { ...message, hq: null } : message;
  });
  return { ...state, messages };
}

/** The turn of a user message is that of the reply after it, where it is not known otherwise. */
function inferTurn(messages: Message[], index: number): number | null {
  const next = messages[index + 1];
  return next?.role === "assistant" ? next.turn : null;
}

function lastTurn(messages: Message[]): number {
  return messages.reduce((most, message) => Math.max(most, message.turn ?? 0), 0);
}

/** After the connection was lost: close the messages that were in progress. */
function closeOpenMessages(state: SessionState): SessionState {
  const messages = state.messages
    .filter((message) => message.status !== "hearing" || message.text !== "")
    .map((message): Message => {
      if (message.status === "writing") return { ...message, status: "interrupted" };
      return message.status === "hearing" || message.status === "recognising" ? { ...message, status: "done" } : message;
    });
  return { ...state, messages, userSpeaking: false, phase: "listening", response: null, held: false };
}
