import { expect, it } from "vitest";

import { messagesOf } from "./sessions";
import { utterance } from "./utterance.fixture";

it("converts an earlier session to messages", () => {
  const lines = messagesOf(
    [
      utterance({ id: "u", audio: "/u" }),
      utterance({ id: "c", is_turn: false }),
      utterance({ id: "a", speaker: "assistant", interrupted: true, heard_text: null }),
      utterance({ id: "t", turn: 2 }),
    ],
    [{ turn: 1, timings: { first_audio_ms: 900 }, failures: [] }],
  );
  expect(lines.map(({ id, status, typed, heardText }) => [id, status, typed, heardText])).toEqual([
    ["u", "done", false, null],
    ["a", "interrupted", false, ""],
    ["t", "done", true, null],
  ]);
  expect(lines[1]?.timing).toMatchObject({ first_audio_ms: 900, endpoint_ms: null, tokens: 0 });
  expect(lines[0]?.timing).toBeNull();
});
