import type { Problem } from "../realtime/problems";
import type { AccountTranslations } from "./account";
import type { ListeningTestTranslations } from "./listeningTest";
import type { QualityTranslations } from "./quality";
import type { ClonedVoiceTranslations } from "./voices";

type Phrase = (value: string) => string;
type Count = (value: number) => string;

/** All texts of the page in one language. */
export interface Translations {
  brand: string;
  skip: string;
  hero: string;
  heroHandsFree: string;
  heroPushToTalk: string;
  languageName: string;
  switchLanguage: string;
  switchLanguageShort: string;
  menu: string;
  close: string;
  cancel: string;
  save: string;
  retry: string;
  talk: Record<
    | "start"
    | "stop"
    | "hold"
    | "interrupt"
    | "handsFree"
    | "pushToTalk"
    | "mode"
    | "idle"
    | "idleHold"
    | "connecting"
    | "listening"
    | "hearing"
    | "thinking"
    | "speaking"
    | "replying"
    | "held"
    | "pressed"
    | "shortcut",
    string
  >;
  compose: Record<"label" | "placeholder" | "send", string>;
  message: Record<
    | "you"
    | "assistant"
    | "recognising"
    | "unheard"
    | "interruptedNote"
    | "silent"
    | "copy"
    | "copied"
    | "edit"
    | "resend"
    | "replay"
    | "pause"
    | "loadingSound"
    | "noSound"
    | "silenced"
    | "conversation"
    | "caption"
    | "failed",
    string
  >;
  timing: Record<
    "title" | "endpoint" | "transcript" | "token" | "clause" | "audio" | "from" | "speech" | "recognition" | "reply",
    string
  > & { open: Phrase; seconds: Phrase; writing: Count };
  sessions: Record<
    | "title"
    | "new"
    | "search"
    | "none"
    | "nothingFound"
    | "untitled"
    | "more"
    | "rename"
    | "renameLabel"
    | "delete"
    | "deleteTitle"
    | "exportZip"
    | "exportSrt"
    | "exportJson"
    | "failed"
    | "failedAction"
    | "today"
    | "yesterday"
    | "earlier"
    | "notKept",
    string
  > & { actions: Phrase; deleteBody: Phrase; turns: Count };
  voices: Record<
    | "title"
    | "pick"
    | "stopSample"
    | "sampleFailed"
    | "failed"
    | "speed"
    | "female"
    | "male"
    | "zh"
    | "en"
    | "other",
    string
  > & { sample: Phrase; times: Phrase };
  clonedVoices: ClonedVoiceTranslations;
  quality: QualityTranslations;
  listeningTest: ListeningTestTranslations;
  analysis: Record<"open" | "close" | "confidence" | "stability" | "affability" | "trends" | "compare" | "compareHint" | "rate", string> & {
    scored: (confidence: string, stability: string, affability: string) => string;
  };
  settings: Record<
    | "title"
    | "appearance"
    | "light"
    | "dark"
    | "auto"
    | "language"
    | "spoken"
    | "spokenAuto"
    | "spokenZh"
    | "spokenEn"
    | "microphone"
    | "microphoneDefault"
    | "transport"
    | "transportAuto"
    | "transportWs"
    | "transportHint"
    | "privacy",
    string
  > & { version: Phrase };
  status: Record<"label" | "idle" | "connecting" | "reconnecting", string> & { waiting: Count; open: Phrase };
  problems: Record<Exclude<Problem, "key" | "revoked">, { title: string; body: string }>;
  errorTitle: string;
  waitingTitle: Count;
  waitingBody: string;
  progress: Count;
  continueHere: string;
  account: AccountTranslations;
}
