/** Response time by stages, from the end of speech to the first audio of the reply. */

import type { Timing } from "../../realtime/protocol";

export type StageName = "endpoint" | "transcript" | "token" | "clause" | "audio";

export interface Stage {
  name: StageName;
  /** Milliseconds from the end of speech to the end of this stage. */
  atMs: number;
  /** Milliseconds since the stage before; 0 where a speculative stage overlaps it. */
  tookMs: number;
}

const ORDER: [StageName, keyof Timing][] = [
  ["endpoint", "endpoint_ms"],
  ["transcript", "transcript_ms"],
  ["token", "first_token_ms"],
  ["clause", "first_clause_ms"],
  ["audio", "first_audio_ms"],
];

export function stages(timing: Timing): Stage[] {
  let reached = 0;
  const found: Stage[] = [];
  for (const [name, field] of ORDER) {
    const atMs = timing[field];
    if (atMs === null) continue;
    found.push({ name, atMs, tookMs: Math.max(0, atMs - reached) });
    reached = Math.max(reached, atMs);
  }
  return found;
}

/** Milliseconds to the first audio of the reply, or to the first token of one without audio; null: no reply. */
export function responseMs(timing: Timing): number | null {
  return timing.first_audio_ms ?? timing.first_token_ms;
}

export function formatSeconds(ms: number): string {
  return (ms / 1000).toFixed(2);
}
