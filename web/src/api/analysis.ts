/** How utterances were spoken: features, scores and what they consist of; and what people think of them. */

import { getJson, request } from "./http";
import { everyPage, type List } from "./rest";

export const SCORES = ["confidence", "stability", "affability"] as const;

export type Score = (typeof SCORES)[number];

export type Reason = "no_audio" | "not_speech" | "too_short" | "too_long" | "too_noisy" | "no_voice" | "unreadable" | "off";

/** What one feature added to a score. */
export interface Contribution {
  feature: string;
  value: number;
  /** Standard deviations from what is common. */
  z: number;
  /** Added before the logistic function. */
  amount: number;
}

/** One score beside those of the same person before. */
export interface Relative {
  utterances: number;
  usual: number;
  difference: number;
  percentile: number;
}

export interface OneScore {
  /** 0 to 1. */
  value: number;
  bias: number;
  /** The largest first. */
  contributions: Contribution[];
  /** Null: too few utterances to know what is usual. */
  relative: Relative | null;
}

export interface Contours {
  frame_ms: number;
  /** 0 where there is no voice. */
  f0_hz: number[];
  /** Start and end, milliseconds of the recording. */
  pauses: [number, number][];
}

/** Of one utterance. */
export interface Analysis {
  utterance: string;
  state: "waiting" | "scored" | "unscored";
  reason: Reason | null;
  extractor: string | null;
  head: string | null;
  scores: Record<Score, OneScore> | null;
  features: Record<string, number | null>;
  contours: Contours | null;
}

/** Of one utterance of a session, without what is drawn. */
export interface Spoken {
  utterance: string;
  speaker: "user" | "assistant";
  transcript: string | null;
  state: Analysis["state"];
  reason: Reason | null;
  scores: Record<Score, OneScore> | null;
}

/** Of a whole session. */
export interface Course extends List<Spoken> {
  /** Of the person who speaks; null: too few utterances to know. */
  usual: Record<Score, number> | null;
}

const fresh: RequestInit = { cache: "no-store" };

export const getAnalysis = (utterance: string): Promise<Analysis> =>
  getJson(`/api/recordings/${utterance}/analysis`, fresh);

export const getCourse = (session: string): Promise<Course> =>
  everyPage<Spoken, Course>(`/api/sessions/${session}/analysis`, (last) => last.utterance, fresh);

export const courseCsv = (session: string): string => `/api/sessions/${session}/analysis?format=csv`;

/** An utterance somebody is to rate. */
export interface ToRate {
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

export const nextToRate = (rater: string, skipped: readonly string[]): Promise<ToRate> => {
  const query = new URLSearchParams([["rater", rater], ...skipped.map((id) => ["skip", id] as [string, string])]);
  return getJson(`/api/labelling/next?${query}`, fresh);
};

export async function rate(utterance: string, rating: Rating, rater: string): Promise<void> {
  await request(`/api/labelling/${utterance}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ ...rating, rater }),
  });
}

export const getRatingProgress = (rater: string): Promise<RatingProgress> =>
  getJson(`/api/labelling/progress?${new URLSearchParams({ rater })}`, fresh);
