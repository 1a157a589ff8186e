/** Voices: those of the synthesiser, and cloned ones with their life. */

import { authorization, getJson, refuseKey, Refused, request } from "./http";
import { apiKey } from "./key";

export interface Check {
  check: string;
  verdict: "ok" | "warning" | "refused";
  value: number | null;
  unit: string;
  advice: { zh: string; en: string };
}

export interface Learning {
  step: "predicted" | "style" | "decoder";
  state: "waiting" | "running" | "paused" | "done" | "failed" | "cancelled" | "unavailable";
  /** Of the step, 0 to 1. */
  progress: number;
  similarity: number | null;
  eta_s: number | null;
  error: string | null;
}

export interface Voice {
  id: string;
  name: string;
  /** Empty where it is unknown. */
  language: string;
  /** Address of a sentence in it; null: it cannot speak yet. */
  sample: string | null;
  /** Of a cloned one; null: it is the synthesiser's own. */
  cloned: Cloned | null;
  /** It belongs to whoever looks at it. */
  mine: boolean;
  /** Its owner lets everybody use it. */
  shared: boolean;
}

export interface Cloned {
  state: "preparing" | "ready" | "failed";
  stage: string;
  error: string | null;
  transcript: string;
  durationS: number;
  createdAt: string;
  label: "similar" | "cloned";
  checks: Check[];
  consent: { speaker: string; statement: string; at: string };
  reference: string;
  learning: Learning;
}

interface RawVoice {
  id: string;
  name: string;
  kind?: "stock" | "cloned";
  language?: string | null;
  sample?: string | null;
  state?: Cloned["state"];
  stage?: string | null;
  error?: string | null;
  transcript?: string | null;
  duration_s?: number;
  created_at?: string;
  label?: Cloned["label"];
  checks?: Check[];
  consent?: Cloned["consent"];
  reference?: string;
  learning?: Learning;
  mine?: boolean;
  shared?: boolean;
}

const UNLEARNED: Learning = { step: "predicted", state: "done", progress: 1, similarity: null, eta_s: null, error: null };

export function voiceOf(raw: RawVoice): Voice {
  const voice = { id: raw.id, name: raw.name, language: raw.language ?? "", mine: raw.mine ?? true, shared: raw.shared ?? false };
  if (raw.kind !== "cloned") return { ...voice, sample: raw.sample ?? null, cloned: null };
  const learning = raw.learning ?? UNLEARNED;
  const ready = raw.state === "ready";
  // Browsers keep what they have heard: after each step it sounds different.
  const version = encodeURIComponent(`${learning.step}-${learning.state}`);
  return {
    ...voice,
    sample: ready && raw.sample ? `${raw.sample}?learned=${version}` : null,
    cloned: {
      state: raw.state ?? "preparing",
      stage: raw.stage ?? "",
      error: raw.error ?? null,
      transcript: raw.transcript ?? "",
      durationS: raw.duration_s ?? 0,
      createdAt: raw.created_at ?? "",
      label: raw.label ?? "similar",
      checks: raw.checks ?? [],
      consent: raw.consent ?? { speaker: "", statement: "", at: "" },
      reference: raw.reference ?? `/api/voices/${raw.id}/reference`,
      learning,
    },
  };
}

/** Something goes on by itself, and is worth asking about again. */
export function isMoving({ cloned }: Voice): boolean {
  if (!cloned || cloned.state === "failed") return false;
  return cloned.state === "preparing" || ["waiting", "running", "paused"].includes(cloned.learning.state);
}

export async function listVoices(): Promise<Voice[]> {
  return (await getJson<{ data: RawVoice[] }>("/api/voices", { cache: "no-store" })).data.map(voiceOf);
}

/** What to declare when a voice is added, and what to read aloud for it. */
export interface Texts {
  consent: { zh: string; en: string };
  read_aloud: { zh: string; en: string };
}

export const getTexts = (): Promise<Texts> => getJson("/api/voices/texts");

export async function getVoice(id: string): Promise<Voice> {
  return voiceOf(await getJson<RawVoice>(`/api/voices/${id}`, { cache: "no-store" }));
}

export async function changeVoice(id: string, change: { name?: string; transcript?: string; shared?: boolean }): Promise<void> {
  const headers = { "Content-Type": "application/json" };
  await request(`/api/voices/${id}`, { method: "PATCH", headers, body: JSON.stringify(change) });
}

export async function deleteVoice(id: string): Promise<void> {
  await request(`/api/voices/${id}`, { method: "DELETE" });
}

export async function learnVoice(id: string): Promise<void> {
  await request(`/api/voices/${id}/learn`, { method: "POST" });
}

export async function cancelLearning(id: string): Promise<void> {
  await request(`/api/voices/${id}/learn/cancel`, { method: "POST" });
}

/** The recording was listened to and cannot be used. */
export class ReferenceRefused extends Refused {
  constructor(
    message: string,
    readonly checks: Check[],
  ) {
    super(422, message, "reference_refused");
  }
}

export interface NewVoice {
  file: Blob;
  fileName: string;
  name: string;
  speaker: string;
  statement: string;
}

/**
 * Send a recording to be learned from.
 *
 * @param sent Told the share of it that has left, 0 to 1: `fetch` cannot tell that.
 */
export function addVoice(voice: NewVoice, sent: (share: number) => void, signal: AbortSignal): Promise<Voice> {
  const form = new FormData();
  form.set("name", voice.name);
  form.set("consent_speaker", voice.speaker);
  form.set("consent_statement", voice.statement);
  form.set("file", voice.file, voice.fileName);
  return new Promise((resolve, reject) => {
    const call = new XMLHttpRequest();
    call.open("POST", "/api/voices");
    const key = apiKey();
    for (const [name, value] of Object.entries(authorization(key))) call.setRequestHeader(name, value);
    call.upload.onprogress = ({ loaded, total }) => sent(total > 0 ? loaded / total : 0);
    call.onload = () => {
      if (call.status === 201) resolve(voiceOf(JSON.parse(call.responseText) as RawVoice));
      else reject(call.status === 401 ? refuseKey(key) : refusal(call.status, call.responseText));
    };
    call.onerror = () => reject(new Error("the server cannot be reached"));
    call.onabort = () => reject(new DOMException("", "AbortError"));
    signal.addEventListener("abort", () => call.abort());
    call.send(form);
  });
}

function refusal(status: number, text: string): Error {
  let error: { code?: string; message?: string; checks?: Check[] } = {};
  try {
    error = (JSON.parse(text) as { error?: typeof error }).error ?? {};
  } catch {
    // Something in between has answered: its status has to do.
  }
  const message = error.message ?? `HTTP ${status}`;
  return error.code === "reference_refused" ? new ReferenceRefused(message, error.checks ?? []) : new Refused(status, message);
}

/** What voices are learned in; it is made by itself, once. */
export interface LearningEnvironment {
  state: "ready" | "making" | "waiting" | "unavailable" | "off";
  /** 0 to 1; null: nobody knows. */
  progress: number | null;
  detail: string;
  eta_s: number | null;
}

export const getLearningEnvironment = (): Promise<LearningEnvironment> =>
  getJson("/api/voices/learning", { cache: "no-store" });
