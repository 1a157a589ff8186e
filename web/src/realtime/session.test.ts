import { describe, expect, it } from "vitest";

import type { AnalysisSummary, ServerEvent } from "./protocol";
import { EMPTY_SESSION, newMessage, reduce, type Recording, type SessionAction, type SessionState } from "./session";

const TIMING = {
  endpoint_ms: 400,
  transcript_ms: 500,
  first_token_ms: 600,
  first_clause_ms: 700,
  first_audio_ms: 900,
  last_audio_ms: 3000,
  speech_s: 1.5,
  recognition_s: 0.3,
  tokens: 9,
  writing_s: 1,
  reply_audio_s: 3,
};

function after(...events: SessionAction[]): SessionState {
  return events.reduce(reduce, EMPTY_SESSION);
}

const heard: ServerEvent[] = [
  { type: "input_audio_buffer.speech_started", item_id: "u1", audio_start_ms: 10 },
  { type: "kuaimei.caption", turn: 1, item_id: "u1", text: "明天" },
];
const understood: ServerEvent[] = [
  ...heard,
  { type: "input_audio_buffer.committed", item_id: "u1" },
  { type: "kuaimei.state", turn: 1, state: "thinking" },
  { type: "conversation.item.input_audio_transcription.completed", item_id: "u1", transcript: "明天會下雨嗎？" },
];
const answering: ServerEvent[] = [
  ...understood,
  { type: "response.created", response: { id: "r1" } },
  { type: "response.output_item.added", response_id: "r1", item: { id: "a1", type: "message" } },
  { type: "response.output_audio_transcript.delta", item_id: "a1", delta: "會，" },
  { type: "response.output_audio_transcript.delta", item_id: "a1", delta: "下午有陣雨。" },
];
const of = { turn: 1, response_id: "r1", item_id: "a1" };

describe("a turn", () => {
  it("shows the caption while the user speaks", () => {
    const state = after(...heard);
    expect(state.userSpeaking).toBe(true);
    expect(state.messages).toMatchObject([{ id: "u1", role: "user", text: "明天", status: "hearing" }]);
  });

  it("turns the caption into the transcript", () => {
    const { messages } = after(...understood);
    expect(messages).toMatchObject([{ id: "u1", text: "明天會下雨嗎？", status: "done", turn: 1 }]);
  });

  it("lets the reply grow, and ends it", () => {
    const state = after(...answering);
    expect(state.messages[1]).toMatchObject({ id: "a1", text: "會，下午有陣雨。", status: "writing", turn: 1 });
    const done = reduce(state, { type: "response.done", response: { id: "r1", status: "completed" } });
    expect(done.messages[1]?.status).toBe("done");
    expect(done.response).toBeNull();
    expect(reduce(done, { type: "kuaimei.turn.timing", turn: 1, ...TIMING }).messages[1]?.timing).toEqual(TIMING);
  });

  it("keeps what was heard of an interrupted reply", () => {
    const state = after(
      ...answering,
      { type: "kuaimei.reply.held", ...of, heard_ms: 500 },
      { type: "kuaimei.reply.interrupted", ...of, heard_ms: 500, heard_text: "會，", reason: "barge_in" },
      { type: "response.done", response: { id: "r1", status: "cancelled" } },
    );
    expect(state.messages[1]).toMatchObject({ status: "interrupted", heardText: "會，", text: "會，下午有陣雨。" });
    expect(state.held).toBe(false);
  });

  it("continues after a false interruption", () => {
    const held = after(...answering, { type: "kuaimei.reply.held", ...of, heard_ms: 500 });
    expect(held.held).toBe(true);
    expect(reduce(held, { type: "kuaimei.reply.resumed", ...of, heard_ms: 500 }).held).toBe(false);
  });
});

describe("speech that is dropped or resumed", () => {
  it("removes the message of a cough", () => {
    const state = after(...heard, { type: "kuaimei.speech.dropped", turn: 1, item_id: "u1", text: "嗯" });
    expect(state.messages).toEqual([]);
    expect(state.userSpeaking).toBe(false);
  });

  it("shows a resumed turn as a message of its own", () => {
    const state = after(
      ...understood,
      { type: "input_audio_buffer.speech_started", item_id: "u1", audio_start_ms: 900 },
      { type: "kuaimei.caption", turn: 1, item_id: "u1", text: "還有" },
      { type: "input_audio_buffer.committed", item_id: "u2" },
    );
    expect(state.messages.map((line) => [line.id, line.status])).toEqual([
      ["u1", "done"],
      ["u2", "recognising"],
    ]);
  });

  it("ignores a caption that arrives too late", () => {
    const state = after(...understood, { type: "kuaimei.caption", turn: 1, item_id: "u1", text: "明天會下" });
    expect(state.messages).toHaveLength(1);
    expect(state.messages[0]?.text).toBe("明天會下雨嗎？");
  });

  it("adds a message for what was committed without a caption", () => {
    expect(after({ type: "input_audio_buffer.committed", item_id: "u9" }).messages).toMatchObject([
      { id: "u9", status: "recognising" },
    ]);
  });
});

describe("failures", () => {
  const failed: ServerEvent = {
    type: "kuaimei.turn.failed",
    turn: 1,
    stage: "recognition",
    kind: "engine",
    message: "no",
    apology: "抱歉，我沒聽清楚。",
  };

  it("are shown with the message they concern", () => {
    const state = after(...heard, { type: "input_audio_buffer.committed", item_id: "u1" }, failed);
    expect(state.messages[0]?.failure?.apology).toBe("抱歉，我沒聽清楚。");
  });

  it("have a message of their own where there is none", () => {
    const state = after({ ...failed, stage: "thinking" });
    expect(state.messages).toMatchObject([{ role: "assistant", status: "failed", failure: { message: "no" } }]);
  });

  it("are replaced by the spoken apology", () => {
    const state = after(
      ...understood,
      { ...failed, stage: "thinking" },
      { type: "response.created", response: { id: "r1" } },
      { type: "response.output_item.added", response_id: "r1", item: { id: "a1", type: "message" } },
      { type: "response.output_audio_transcript.delta", item_id: "a1", delta: "抱歉，我沒聽清楚。" },
      { type: "response.done", response: { id: "r1", status: "failed" } },
    );
    expect(state.messages.map((line) => line.id)).toEqual(["u1", "a1"]);
    expect(state.messages[1]).toMatchObject({ status: "failed", text: "抱歉，我沒聽清楚。", failure: { message: "no" } });
  });
});

describe("typing", () => {
  it("shows a message once, although the server reports it too", () => {
    const item = { id: "item_x", type: "message", role: "user", content: [{ type: "input_text", text: "你好" }] };
    const state = after(
      { type: "local.typed", id: "item_x", text: "你好" },
      { type: "conversation.item.added", item },
    );
    expect(state.messages).toMatchObject([{ id: "item_x", text: "你好", typed: true }]);
  });

  it("removes messages that were edited", () => {
    const state = after(...answering, { type: "local.removed", ids: ["u1", "a1"] });
    expect(state.messages).toEqual([]);
  });
});

describe("a lost connection", () => {
  it("closes the messages in progress", () => {
    const state = after(...answering, ...heard.slice(0, 1).map((e) => ({ ...e, item_id: "u5" }) as ServerEvent), {
      type: "local.disconnected",
    });
    expect(state.messages.map((line) => line.status)).toEqual(["done", "interrupted"]);
    expect(state).toMatchObject({ response: null, userSpeaking: false, phase: "listening", held: false });
  });
});

describe("recordings", () => {
  it("find their messages by turn and role, also a user message without a turn number", () => {
    const messages = [
      newMessage("u1", "user", { text: "嗨" }),
      newMessage("a1", "assistant", { text: "你好", turn: 4 }),
      newMessage("t", "user", { text: "打字", typed: true, turn: 5 }),
    ];
    const state = reduce(
      { ...EMPTY_SESSION, messages },
      {
        type: "local.recordings",
        found: [
          { id: "r1", turn: 4, role: "user", audio: "/u", hq: null, analysis: null },
          { id: "r2", turn: 4, role: "assistant", audio: "/a", hq: { state: "queued", audio: null }, analysis: null },
          { id: "r3", turn: 5, role: "user", audio: "/t", hq: null, analysis: null },
        ],
      },
    );
    expect(state.messages.map((line) => line.audio)).toEqual(["/u", "/a", null]);
    expect(state.messages[1]?.hq?.state).toBe("queued");
    expect(state.messages.map((line) => line.recordingId)).toEqual(["r1", "r2", null]);
  });

  it("learn that the HQ rendering is ready, which an older answer does not undo", () => {
    const messages = [newMessage("a1", "assistant", { turn: 4 }), newMessage("utt_2", "assistant", { turn: 5 })];
    const ready = (item_id: string, recording: string) =>
      ({ type: "kuaimei.reply.hq_ready", item_id, recording, audio: `/${recording}` }) as ServerEvent;
    let state = reduce({ ...EMPTY_SESSION, messages }, ready("a1", "utt_1"));
    state = reduce(state, ready("item_of_another_connection", "utt_2"));
    state = reduce(state, ready("unknown", "utt_3"));
    const old: Recording = {
      id: "utt_1",
      turn: 4,
      role: "assistant",
      audio: "/a",
      hq: { state: "rendering", audio: null },
      analysis: null,
    };
    state = reduce(state, { type: "local.recordings", found: [old] });
    expect(state.messages.map(({ audio, hq }) => [audio, hq?.state, hq?.audio])).toEqual([
      ["/a", "ready", "/utt_1"],
      [null, "ready", "/utt_2"],
    ]);
  });

  it("learn their scores, by either id, which an older answer does not undo", () => {
    const waiting: AnalysisSummary = { state: "waiting", confidence: null, stability: null, affability: null };
    const found: Recording = { id: "utt_1", turn: 4, role: "user", audio: "/u", hq: null, analysis: waiting };
    const scored = { state: "scored", confidence: 0.6, stability: 0.7, affability: 0.5 } as const;
    const messages = [newMessage("u1", "user", { turn: 4 }), newMessage("utt_0", "user", { turn: 3 })];
    let state = reduce({ ...EMPTY_SESSION, messages }, { type: "local.recordings", found: [found] });
    expect(state.messages[0]).toMatchObject({ recordingId: "utt_1", analysis: { state: "waiting" } });
    const tell = (item_id: string, recording: string, told: AnalysisSummary): SessionAction => ({
      type: "kuaimei.analysis.scored",
      item_id,
      recording,
      ...told,
    });
    state = reduce(state, tell("item_of_another_connection", "utt_1", scored));
    state = reduce(state, tell("unknown", "utt_0", { ...waiting, state: "unscored" }));
    state = reduce(state, { type: "local.recordings", found: [found] });
    expect(state.messages.map((line) => line.analysis)).toEqual([scored, { ...waiting, state: "unscored" }]);
  });
});

describe("deleted audio", () => {
  const hq = { state: "ready", audio: "/a?tier=hq" } as const;
  const found = (id: string, turn: number): Recording => ({
    id,
    turn,
    role: "assistant",
    audio: `/${id}`,
    hq: null,
    analysis: null,
  });
  const messages = [
    newMessage("a1", "assistant", { turn: 1, audio: "/utt_1", recordingId: "utt_1", hq }),
    newMessage("a2", "assistant", { turn: 2, audio: "/utt_2", recordingId: "utt_2" }),
    newMessage("a3", "assistant", { turn: 3, text: "never kept" }),
  ];

  it("is removed once the server no longer lists it", () => {
    const state = reduce(
      { ...EMPTY_SESSION, messages },
      { type: "local.recordings", found: [found("utt_2", 2)], audioDeleted: ["utt_1", "utt_3"] },
    );
    expect(state.messages.map(({ audio, hq: fine, audioDeleted }) => [audio, fine, audioDeleted])).toEqual([
      [null, null, true],
      ["/utt_2", null, false],
      [null, null, false],
    ]);
  });

  it("is removed once its address is not found; the HQ rendering may be removed alone", () => {
    const fine = reduce({ ...EMPTY_SESSION, messages }, { type: "local.gone", audio: hq.audio });
    expect(fine.messages[0]).toMatchObject({ audio: "/utt_1", hq: null, audioDeleted: false });
    const gone = reduce(fine, { type: "local.gone", audio: "/utt_1" });
    expect(gone.messages[0]).toMatchObject({ audio: null, audioDeleted: true, text: "" });
    expect(gone.messages[1]).toBe(fine.messages[1]);
  });
});

it("keeps the state for an unknown event", () => {
  expect(reduce(EMPTY_SESSION, { type: "rate_limits.updated" } as unknown as ServerEvent)).toBe(EMPTY_SESSION);
});
