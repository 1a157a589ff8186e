/** Blind A/B listening tests: a trial with two clips, the listener's choice, and the results. */

import { getJson, request } from "./http";

export type PairKind = "tiers" | "voices";
export type Choice = "a" | "b" | "same";

export interface Trial {
  id: string;
  kind: PairKind;
  text: string;
  a: string;
  b: string;
}

export interface TrialResult {
  id: string;
  kind: PairKind;
  choice: Choice;
  preferred: string | null;
  a: string;
  b: string;
}

export interface PairResult {
  kind: PairKind;
  first: string;
  second: string;
  first_preferred: number;
  second_preferred: number;
  same: number;
  share: number | null;
  low: number | null;
  high: number | null;
}

export interface ListeningResults {
  judged: number;
  pairs: PairResult[];
}

export const RESULTS_CSV = "/api/listening/results.csv";

export const nextTrial = (kind: PairKind | null): Promise<Trial> =>
  getJson(`/api/listening/next${kind ? `?kind=${kind}` : ""}`, { method: "POST" });

export const submitChoice = (trial: string, choice: Choice, remark: string): Promise<TrialResult> =>
  getJson(`/api/listening/${trial}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ choice, remark }),
  });

export const getListeningResults = (): Promise<ListeningResults> => getJson("/api/listening/results", { cache: "no-store" });

export async function deleteListeningResults(): Promise<void> {
  await request("/api/listening/results", { method: "DELETE" });
}
