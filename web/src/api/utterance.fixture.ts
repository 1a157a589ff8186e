import type { Utterance } from "./sessions";

/** An utterance of the user, with the fields of `part` replaced. */
export function utterance(part: Partial<Utterance>): Utterance {
  return {
    id: "utt",
    turn: 1,
    speaker: "user",
    is_turn: true,
    started_at: "2026-03-01T12:00:00Z",
    duration_ms: 1500,
    transcript: "你好",
    heard_ms: null,
    heard_text: null,
    interrupted: false,
    voice: "",
    audio: null,
    ...part,
  };
}
