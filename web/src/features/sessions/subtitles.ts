/** Subtitles of a session. */

import type { Utterance } from "../../api/sessions";

/** Duration of a cue without a recording. */
const TYPED_MS = 2_000;

export interface Cue {
  startMs: number;
  endMs: number;
  text: string;
}

export function toCues(utterances: readonly Utterance[]): Cue[] {
  const said = utterances.filter((one) => one.is_turn && (one.transcript ?? "").trim() !== "");
  const first = Math.min(...said.map((one) => Date.parse(one.started_at)));
  return said.map((one) => {
    const startMs = Date.parse(one.started_at) - first;
    const heard = one.interrupted ? one.heard_ms : null;
    const text = one.interrupted ? (one.heard_text ?? one.transcript) : one.transcript;
    return { startMs, endMs: startMs + (heard ?? one.duration_ms ?? TYPED_MS), text: (text ?? "").trim() };
  });
}

/** Format as SubRip. */
export function toSrt(utterances: readonly Utterance[]): string {
  return toCues(utterances)
    .filter((cue) => cue.text !== "")
    .map((cue, index) => `${index + 1}\n${timestamp(cue.startMs)} --> ${timestamp(cue.endMs)}\n${cue.text}\n`)
    .join("\n");
}

function timestamp(ms: number): string {
  const whole = Math.max(0, Math.round(ms));
  const two = (value: number) => String(Math.floor(value)).padStart(2, "0");
  const rest = String(whole % 1000).padStart(3, "0");
  return `${two(whole / 3_600_000)}:${two((whole / 60_000) % 60)}:${two((whole / 1000) % 60)},${rest}`;
}
