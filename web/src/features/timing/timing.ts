/** The time from the last spoken sound to the first sound of the reply, in its stages. */

import type { Timing } from "../../realtime/protocol";

export type StageName = "endpoint" | "transcript" | "token" | "clause" | "audio";

export interface Stage {
  name: StageName;
  /** Milliseconds from the last spoken sound at which it was reached. */
  atMs: number;
  /** … and since the stage before. Stages overlap where one begins on a guess: then 0. */
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

/** Milliseconds until the reply was heard (or, unspoken, began); null if there was none. */
export function responseMs(timing: Timing): number | null {
  return timing.first_audio_ms ?? timing.first_token_ms;
}

export function seconds(ms: number): string {
  return (ms / 1000).toFixed(2);
}
