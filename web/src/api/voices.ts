/** Voices: those of the synthesiser, and cloned ones with their enrolment and training. */

import { authorizationHeader, getJson, HttpError, reportRefusedKey, request } from "./http";
import { apiKey } from "./key";

export interface EnrolmentCheck {
  check: string;
  verdict: "ok" | "warning" | "refused";
  value: number | null;
  unit: string;
  advice: { zh: string; en: string };
}

export interface VoiceTraining {
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
  /** Address of a spoken sample; null: the voice cannot speak yet. */
  sample: string | null;
  /** Null: a voice of the synthesiser. */
  cloned: ClonedVoiceInfo | null;
  /** The user owns it. */
  mine: boolean;
  /** Its owner shares it with all users. */
  shared: boolean;
}

export interface ClonedVoiceInfo {
  state: "preparing" | "ready" | "failed";
  stage: string;
  error: string | null;
  transcript: string;
  durationS: number;
  createdAt: string;
  label: "similar" | "cloned";
  checks: EnrolmentCheck[];
  consent: { speaker: string; statement: string; at: string };
  reference: string;
  training: VoiceTraining;
}

interface RawVoice {
  id: string;
  name: string;
  kind?: "stock" | "cloned";
  language?: string | null;
  sample?: string | null;
  state?: ClonedVoiceInfo["state"];
  stage?: string | null;
  error?: string | null;
  transcript?: string | null;
  duration_s?: number;
  created_at?: string;
  label?: ClonedVoiceInfo["label"];
  checks?: EnrolmentCheck[];
  consent?: ClonedVoiceInfo["consent"];
  reference?: string;
  learning?: VoiceTraining;
  mine?: boolean;
  shared?: boolean;
}

const NOT_TRAINED: VoiceTraining = { step: "predicted", state: "done", progress: 1, similarity: null, eta_s: null, error: null };

export function toVoice(raw: RawVoice): Voice {
  const voice = { id: raw.id, name: raw.name, language: raw.language ?? "", mine: raw.mine ?? true, shared: raw.shared ?? false };
  if (raw.kind !== "cloned") return { ...voice, sample: raw.sample ?? null, cloned: null };
  const training = raw.learning ?? NOT_TRAINED;
  const ready = raw.state === "ready";
  // The sample changes with each training step: the address must not be served from the browser's cache.
  const version = encodeURIComponent(`${training.step}-${training.state}`);
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
      training,
    },
  };
}

/** True while the voice is being prepared or trained, so that it should be polled. */
export function isInProgress({ cloned }: Voice): boolean {
  if (!cloned || cloned.state === "failed") return false;
  return cloned.state === "preparing" || ["waiting", "running", "paused"].includes(cloned.training.state);
}

export async function listVoices(): Promise<Voice[]> {
  return (await getJson<{ data: RawVoice[] }>("/api/voices", { cache: "no-store" })).data.map(toVoice);
}

/** The declaration of consent, and the text to be read aloud, for adding a voice. */
export interface EnrolmentTexts {
  consent: { zh: string; en: string };
  read_aloud: { zh: string; en: string };
}

export const getEnrolmentTexts = (): Promise<EnrolmentTexts> => getJson("/api/voices/texts");

export async function getVoice(id: string): Promise<Voice> {
  return toVoice(await getJson<RawVoice>(`/api/voices/${id}`, { cache: "no-store" }));
}

export async function changeVoice(id: string, change: { name?: string; transcript?: string; shared?: boolean }): Promise<void> {
  const headers = { "Content-Type": "application/json" };
  await request(`/api/voices/${id}`, { method: "PATCH", headers, body: JSON.stringify(change) });
}

export async function deleteVoice(id: string): Promise<void> {
  await request(`/api/voices/${id}`, { method: "DELETE" });
}

export async function trainVoice(id: string): Promise<void> {
  await request(`/api/voices/${id}/learn`, { method: "POST" });
}

export async function cancelTraining(id: string): Promise<void> {
  await request(`/api/voices/${id}/learn/cancel`, { method: "POST" });
}

/** The reference recording failed the enrolment checks. */
export class ReferenceRefusedError extends HttpError {
  constructor(
    message: string,
    readonly checks: EnrolmentCheck[],
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
 * Upload a reference recording and create a voice from it.
 *
 * @param onProgress Called with the share that was uploaded, 0 to 1; `fetch` has no such event.
 */
export function addVoice(voice: NewVoice, onProgress: (share: number) => void, signal: AbortSignal): Promise<Voice> {
  const form = new FormData();
  form.set("name", voice.name);
  form.set("consent_speaker", voice.speaker);
  form.set("consent_statement", voice.statement);
  form.set("file", voice.file, voice.fileName);
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest();
    xhr.open("POST", "/api/voices");
    const key = apiKey();
    for (const [name, value] of Object.entries(authorizationHeader(key))) xhr.setRequestHeader(name, value);
    xhr.upload.onprogress = ({ loaded, total }) => onProgress(total > 0 ? loaded / total : 0);
    xhr.onload = () => {
      if (xhr.status === 201) resolve(toVoice(JSON.parse(xhr.responseText) as RawVoice));
      else reject(xhr.status === 401 ? reportRefusedKey(key) : toError(xhr.status, xhr.responseText));
    };
    xhr.onerror = () => reject(new Error("the server cannot be reached"));
    xhr.onabort = () => reject(new DOMException("", "AbortError"));
    signal.addEventListener("abort", () => xhr.abort());
    xhr.send(form);
  });
}

function toError(status: number, text: string): Error {
  let error: { code?: string; message?: string; checks?: EnrolmentCheck[] } = {};
  try {
    error = (JSON.parse(text) as { error?: typeof error }).error ?? {};
  } catch {
    // Not the server's own error format: a proxy has answered, and only the status is known.
  }
  const message = error.message ?? `HTTP ${status}`;
  return error.code === "reference_refused" ? new ReferenceRefusedError(message, error.checks ?? []) : new HttpError(status, message);
}

/** The environment that voices are trained in; the server installs it once, by itself. */
export interface TrainingEnvironment {
  state: "ready" | "making" | "waiting" | "unavailable" | "off";
  /** 0 to 1; null: unknown. */
  progress: number | null;
  detail: string;
  eta_s: number | null;
}

export const getTrainingEnvironment = (): Promise<TrainingEnvironment> =>
  getJson("/api/voices/learning", { cache: "no-store" });
