/** What a conversation looks like, from the events that tell of it: a pure reducer. */

import type { Analysed, Failure, Item, Phase, ServerEvent, Timing } from "./protocol";

export interface Clause {
  text: string;
  startMs: number;
}

/** The beautiful rendering of a reply. */
export interface Hq {
  state: "queued" | "rendering" | "ready" | "failed" | "cancelled";
  /** Its address; there may be one while a newer rendering is being made. */
  audio: string | null;
}

export type LineStatus =
  | "hearing" // the user is speaking
  | "recognising"
  | "writing" // the reply is coming
  | "done"
  | "interrupted"
  | "failed";

export interface Line {
  /** Id of the item in the protocol; of an earlier session that of the utterance. */
  id: string;
  side: "user" | "assistant";
  turn: number | null;
  text: string;
  status: LineStatus;
  typed: boolean;
  clauses: Clause[];
  /** What was really heard of an interrupted reply. */
  heardText: string | null;
  timing: Timing | null;
  failure: { message: string; apology: string } | null;
  /** Address of the recording, once it is kept. */
  audio: string | null;
  /** Its sound was deleted: with the voice it was spoken in, or by itself. */
  silenced: boolean;
  /** Null: there is none, and none is being made. */
  hq: Hq | null;
  /** Id of the kept utterance, once it is. */
  recording: string | null;
  /** How it was spoken; null: that is not being found out. */
  analysis: Analysed | null;
}

/** What the server keeps of a line. */
export interface Recording {
  id: string;
  turn: number;
  side: Line["side"];
  audio: string;
  hq: Hq | null;
  analysis: Analysed | null;
}

export interface SessionState {
  id: string | null;
  voice: string | null;
  phase: Phase;
  /** Somebody is speaking right now. */
  speech: boolean;
  turn: number;
  lines: Line[];
  /** The response under way. */
  response: { id: string; itemId: string | null } | null;
  held: boolean;
  /** Latest error that the user ought to know. */
  error: Failure | null;
}

export const EMPTY: SessionState = {
  id: null,
  voice: null,
  phase: "listening",
  speech: false,
  turn: 0,
  lines: [],
  response: null,
  held: false,
  error: null,
};

export type Action =
  | ServerEvent
  | { type: "local.typed"; id: string; text: string }
  | { type: "local.removed"; ids: string[] }
  | { type: "local.loaded"; session: string; lines: Line[] }
  | { type: "local.recordings"; found: Recording[]; silenced?: string[] }
  | { type: "local.gone"; audio: string }
  | { type: "local.disconnected" }
  | { type: "local.dismissed" };

export function newLine(id: string, side: Line["side"], part: Partial<Line> = {}): Line {
  return {
    id,
    side,
    turn: null,
    text: "",
    status: "done",
    typed: false,
    clauses: [],
    heardText: null,
    timing: null,
    failure: null,
    audio: null,
    silenced: false,
    hq: null,
    recording: null,
    analysis: null,
    ...part,
  };
}

export function reduce(state: SessionState, event: Action): SessionState {
  switch (event.type) {
    case "session.created":
    case "session.updated":
      return { ...state, id: event.session.id, voice: event.session.audio?.output?.voice ?? state.voice };
    case "error":
      return { ...state, error: event.error };
    case "kuaimei.state":
      return { ...state, phase: event.state, turn: Math.max(state.turn, event.turn) };
    case "input_audio_buffer.speech_started":
      return hearing({ ...state, speech: true }, event.item_id);
    case "input_audio_buffer.speech_stopped":
      return { ...state, speech: false };
    case "kuaimei.caption": {
      // It may come late, after the utterance has been understood.
      if (!lastHearing(state) && state.lines.some((line) => line.id === event.item_id)) return state;
      const heard = hearing(state, event.item_id, event.turn);
      return change(heard, lastHearing(heard)?.id, { text: event.text, turn: event.turn });
    }
    case "kuaimei.speech.dropped": {
      const dropped = { ...state, speech: false };
      return { ...dropped, lines: dropped.lines.filter((line) => line.status !== "hearing") };
    }
    case "input_audio_buffer.committed":
      return committed({ ...state, speech: false }, event.item_id);
    case "conversation.item.input_audio_transcription.completed":
      return change(state, event.item_id, { text: event.transcript, status: "done" });
    case "conversation.item.input_audio_transcription.failed":
      return change(state, event.item_id, { status: "failed" });
    case "conversation.item.added":
      return typedElsewhere(state, event.item);
    case "conversation.item.deleted":
      return without(state, [event.item_id]);
    case "response.created":
      return { ...state, response: { id: event.response.id, itemId: null } };
    case "response.output_item.added":
      return replying(state, event.response_id, event.item.id);
    case "response.output_audio_transcript.delta":
    case "response.output_text.delta": {
      const line = state.lines.find((one) => one.id === event.item_id);
      return line ? change(state, line.id, { text: line.text + event.delta }) : state;
    }
    case "kuaimei.clause": {
      const line = state.lines.find((one) => one.id === event.item_id);
      if (!line) return state;
      const clauses = [...line.clauses];
      clauses[event.index] = { text: event.text, startMs: event.start_ms };
      return change(state, line.id, { clauses, turn: event.turn });
    }
    case "kuaimei.reply.hq_ready":
      return change(state, lineOf(state, event.item_id, event.recording), { hq: { state: "ready", audio: event.audio } });
    case "kuaimei.analysis.scored": {
      const { confidence, stability, affability } = event;
      const analysis: Analysed = { state: event.state, confidence, stability, affability };
      return change(state, lineOf(state, event.item_id, event.recording), { recording: event.recording, analysis });
    }
    case "kuaimei.reply.held":
      return { ...state, held: true };
    case "kuaimei.reply.resumed":
      return { ...state, held: false };
    case "kuaimei.reply.interrupted":
      return change({ ...state, held: false }, event.item_id, {
        status: "interrupted",
        heardText: event.heard_text,
        turn: event.turn,
      });
    case "response.done":
      return responded(state, event.response);
    case "kuaimei.turn.failed":
      return failed(state, event.turn, event.stage, event.message, event.apology);
    case "kuaimei.turn.timing": {
      const { type: _type, turn, ...timing } = event;
      return timed(state, turn, timing);
    }
    case "local.typed":
      return { ...state, lines: [...state.lines, newLine(event.id, "user", { text: event.text, typed: true })] };
    case "local.removed":
      return without(state, event.ids);
    case "local.loaded":
      return { ...EMPTY, id: event.session, lines: event.lines, turn: lastTurn(event.lines) };
    case "local.recordings":
      return silenced(recordings(state, event.found), event.silenced ?? []);
    case "local.gone":
      return gone(state, event.audio);
    case "local.disconnected":
      return settled(state);
    case "local.dismissed":
      return { ...state, error: null };
    default:
      return state;
  }
}

function change(state: SessionState, id: string | undefined, part: Partial<Line>): SessionState {
  return { ...state, lines: state.lines.map((line) => (line.id === id ? { ...line, ...part } : line)) };
}

/** Of an earlier connection only the recording's id is known. */
function lineOf(state: SessionState, item: string, recording: string): string | undefined {
  return state.lines.find((line) => line.id === item || line.id === recording || line.recording === recording)?.id;
}

function without(state: SessionState, ids: string[]): SessionState {
  return { ...state, lines: state.lines.filter((line) => !ids.includes(line.id)) };
}

function lastHearing(state: SessionState): Line | undefined {
  return state.lines.findLast((line) => line.status === "hearing");
}

/** A line for what is being said. A turn that is taken up again keeps its id until it is committed anew. */
function hearing(state: SessionState, id: string, turn: number | null = null): SessionState {
  if (lastHearing(state)) return state;
  const taken = state.lines.some((line) => line.id === id);
  const line = newLine(taken ? `${id}+` : id, "user", { status: "hearing", turn });
  return { ...state, lines: [...state.lines, line] };
}

function committed(state: SessionState, id: string): SessionState {
  const line = lastHearing(state);
  if (line) return change(state, line.id, { id, status: "recognising" });
  if (state.lines.some((one) => one.id === id)) return change(state, id, { status: "recognising" });
  return { ...state, lines: [...state.lines, newLine(id, "user", { status: "recognising" })] };
}

function typedElsewhere(state: SessionState, item: Item): SessionState {
  const part = item.content?.find((one) => one.type === "input_text");
  if (item.role !== "user" || !part || state.lines.some((line) => line.id === item.id)) return state;
  return { ...state, lines: [...state.lines, newLine(item.id, "user", { text: part.text ?? "", typed: true })] };
}

function replying(state: SessionState, response: string, id: string): SessionState {
  // What failed is told first; the apology that is spoken then takes the place of what told it.
  const told = state.lines.at(-1);
  const failure = told?.id === failureOf(state.turn) ? told.failure : null;
  const lines = failure ? state.lines.slice(0, -1) : state.lines;
  const line = newLine(id, "assistant", { status: "writing", turn: state.turn || null, failure });
  return { ...state, lines: [...lines, line], response: { id: response, itemId: id }, held: false };
}

const failureOf = (turn: number): string => `failure_${turn}`;

function responded(
  state: SessionState,
  response: { id: string; status: string; output?: Item[]; status_details?: { error?: Failure } | null },
): SessionState {
  const id = state.response?.id === response.id ? state.response.itemId : response.output?.[0]?.id;
  const line = state.lines.find((one) => one.id === id);
  const open = state.response?.id === response.id ? null : state.response;
  const next = { ...state, response: open };
  if (!line || line.status !== "writing") return next;
  const status = response.status === "completed" ? "done" : response.status === "failed" ? "failed" : "interrupted";
  return change(next, line.id, { status });
}

function failed(state: SessionState, turn: number, stage: string, message: string, apology: string): SessionState {
  const failure = { message, apology };
  const side = stage === "listening" || stage === "recognition" ? "user" : "assistant";
  const line = state.lines.findLast((one) => one.side === side && (one.turn === turn || one.turn === null));
  if (line && (line.turn === turn || line.status !== "done")) return change(state, line.id, { failure, turn });
  const told = newLine(failureOf(turn), "assistant", { turn, status: "failed", failure });
  return { ...state, lines: [...state.lines.filter((one) => one.id !== told.id), told] };
}

function timed(state: SessionState, turn: number, timing: Timing): SessionState {
  const line = state.lines.findLast((one) => one.side === "assistant" && one.turn === turn);
  return line ? change(state, line.id, { timing }) : state;
}

function recordings(state: SessionState, found: readonly Recording[]): SessionState {
  const used = new Set<string>();
  const lines = state.lines.map((line, index) => {
    const turn = line.turn ?? turnOf(state.lines, index);
    const match = found.find((one) => one.side === line.side && one.turn === turn && !used.has(one.audio));
    if (!match || line.typed) return line;
    used.add(match.audio);
    // What was asked for before the rendering was ready may be answered after it is.
    const hq = line.hq?.state === "ready" ? line.hq : match.hq;
    const told = line.analysis !== null && line.analysis.state !== "waiting";
    const analysis = told ? line.analysis : match.analysis;
    const known =
      line.audio === match.audio &&
      line.hq?.state === hq?.state &&
      line.hq?.audio === hq?.audio &&
      line.analysis?.state === analysis?.state;
    return known ? line : { ...line, audio: match.audio, hq, recording: match.id, analysis, turn };
  });
  return { ...state, lines };
}

/** What the server keeps of these utterances has no sound any more. */
function silenced(state: SessionState, ids: readonly string[]): SessionState {
  if (ids.length === 0) return state;
  const lines = state.lines.map((line) => {
    const sounded = line.audio !== null && line.recording !== null && ids.includes(line.recording);
    return sounded ? { ...line, audio: null, hq: null, analysis: null, silenced: true } : line;
  });
  return { ...state, lines };
}

/** The server has nothing at this address: it was deleted since the page learned of it. */
function gone(state: SessionState, audio: string): SessionState {
  const lines = state.lines.map((line): Line => {
    if (line.audio === audio) return { ...line, audio: null, hq: null, analysis: null, silenced: true };
    return line.hq?.audio === audio ? { ...line, hq: null } : line;
  });
  return { ...state, lines };
}

/** The turn of a user's line is that of the reply after it, if nothing else told it. */
function turnOf(lines: Line[], index: number): number | null {
  const next = lines[index + 1];
  return next?.side === "assistant" ? next.turn : null;
}

function lastTurn(lines: Line[]): number {
  return lines.reduce((most, line) => Math.max(most, line.turn ?? 0), 0);
}

/** The connection is gone: what was under way will not go on by itself. */
function settled(state: SessionState): SessionState {
  const lines = state.lines
    .filter((line) => line.status !== "hearing" || line.text !== "")
    .map((line): Line => {
      if (line.status === "writing") return { ...line, status: "interrupted" };
      return line.status === "hearing" || line.status === "recognising" ? { ...line, status: "done" } : line;
    });
  return { ...state, lines, speech: false, phase: "listening", response: null, held: false };
}
