/** Analysis of how utterances were spoken (features, scores, contributions), and the ratings given by people. */

import { getJson, request } from "./http";
import { getAllPages, type Page } from "./pagination";

export const SCORES = ["confidence", "stability", "affability"] as const;

export type Score = (typeof SCORES)[number];

export type UnscoredReason = "no_audio" | "not_speech" | "too_short" | "too_long" | "too_noisy" | "no_voice" | "unreadable" | "off";

/** Contribution of one feature to a score. */
export interface Contribution {
  feature: string;
  value: number;
  /** Standard deviations from the population mean. */
  z: number;
  /** Added before the logistic function. */
  amount: number;
}

/** A score compared with the earlier scores of the same person. */
export interface RelativeScore {
  utterances: number;
  usual: number;
  difference: number;
  percentile: number;
}

export interface ExplainedScore {
  /** 0 to 1. */
  value: number;
  bias: number;
  /** The largest first. */
  contributions: Contribution[];
  /** Null: too few earlier utterances. */
  relative: RelativeScore | null;
}

export interface Contours {
  frame_ms: number;
  /** 0 in unvoiced frames. */
  f0_hz: number[];
  /** Start and end, milliseconds of the recording. */
  pauses: [number, number][];
}

/** Analysis of one utterance. */
export interface Analysis {
  utterance: string;
  state: "waiting" | "scored" | "unscored";
  reason: UnscoredReason | null;
  extractor: string | null;
  head: string | null;
  scores: Record<Score, ExplainedScore> | null;
  features: Record<string, number | null>;
  contours: Contours | null;
}

/** Analysis of one utterance of a session, without its contours. */
export interface AnalysedUtterance {
  utterance: string;
  speaker: "user" | "assistant";
  transcript: string | null;
  state: Analysis["state"];
  reason: UnscoredReason | null;
  scores: Record<Score, ExplainedScore> | null;
}

/** Analysis of all utterances of a session. */
export interface SessionAnalysis extends Page<AnalysedUtterance> {
  /** Average of the user's earlier scores; null: too few earlier utterances. */
  usual: Record<Score, number> | null;
}

const NO_STORE: RequestInit = { cache: "no-store" };

export const getAnalysis = (utterance: string): Promise<Analysis> =>
  getJson(`/api/recordings/${utterance}/analysis`, NO_STORE);

export const getSessionAnalysis = (session: string): Promise<SessionAnalysis> =>
  getAllPages<AnalysedUtterance, SessionAnalysis>(`/api/sessions/${session}/analysis`, (last) => last.utterance, NO_STORE);

export const sessionAnalysisCsv = (session: string): string => `/api/sessions/${session}/analysis?format=csv`;

/** An utterance to be rated by a person. */
export interface RatingTask {
  id: string;
  transcript: string | null;
  audio: string;
}

export type Rating = Record<Score, number>;

export interface RatingProgress {
  rated: number;
  total: number;
}

export const LABELS_CSV = "/api/labelling/labels.csv";

export const nextRatingTask = (rater: string, skipped: readonly string[]): Promise<RatingTask> => {
  const query = new URLSearchParams([["rater", rater], ...skipped.map((id) => ["skip", id] as [string, string])]);
  return getJson(`/api/labelling/next?${query}`, NO_STORE);
};

export async function submitRating(utterance: string, rating: Rating, rater: string): Promise<void> {
  await request(`/api/labelling/${utterance}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ ...rating, rater }),
  });
}

export const getRatingProgress = (rater: string): Promise<RatingProgress> =>
  getJson(`/api/labelling/progress?${new URLSearchParams({ rater })}`, NO_STORE);
