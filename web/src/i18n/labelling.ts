import type { Score } from "../api/analysis";

type Phrase = (value: string) => string;

/** Texts of the page on which people rate utterances. */
export interface LabellingTranslations
  extends Record<
    | "title"
    | "intro"
    | "keys"
    | "rater"
    | "raterHint"
    | "begin"
    | "changeRater"
    | "loading"
    | "play"
    | "stop"
    | "noSound"
    | "said"
    | "noWords"
    | "save"
    | "skip"
    | "done"
    | "nothing"
    | "failed"
    | "again"
    | "download"
    | "back"
    | "saved",
    string
  > {
  /** The question of each scale, and the meaning of its two ends. */
  questions: Record<Score, { ask: string; low: string; high: string }>;
  progress: (rated: string, total: string) => string;
  as: Phrase;
}

export const zhLabelling: LabellingTranslations = {
  title: "聽語氣，打分數",
  intro: "聽一段話，憑第一印象打三個分數。這些分數可以用來校正自動評分。",
  keys: "數字鍵 1–5 打分數並往下走，空白鍵播放，Enter 儲存，S 跳過。",
  rater: "你的名字",
  raterHint: "用來分開不同人的評分，會寫進下載的檔案。",
  begin: "開始",
  changeRater: "換人",
  loading: "正在準備下一段…",
  play: "播放",
  stop: "停止",
  noSound: "這段錄音播不出來，請跳過。",
  said: "說的是",
  noWords: "（沒有文字）",
  save: "儲存，下一段",
  skip: "跳過",
  done: "都評完了，謝謝。",
  nothing: "現在沒有可以評分的錄音。先在對話頁說幾句話再來。",
  failed: "暫時沒辦法進行，請稍後再試。",
  again: "重新評被跳過的",
  download: "下載評分（CSV）",
  back: "回到對話",
  saved: "已儲存",
  questions: {
    confidence: { ask: "聽起來多有自信？", low: "很沒自信", high: "很有自信" },
    stability: { ask: "聲音多穩定？", low: "很不穩", high: "很穩定" },
    affability: { ask: "聽起來多親和？", low: "很冷淡", high: "很親切" },
  },
  progress: (rated, total) => `已評 ${rated} 段，共 ${total} 段`,
  as: (name) => `評分的人：${name}`,
};

export const enLabelling: LabellingTranslations = {
  title: "Rate how people speak",
  intro: "Listen to a clip and give three ratings by your first impression. They can be used to calibrate the automatic scores.",
  keys: "Keys 1–5 rate and move on, space plays, Enter saves, S skips.",
  rater: "Your name",
  raterHint: "It keeps the ratings of different people apart and is part of the downloaded file.",
  begin: "Begin",
  changeRater: "Somebody else",
  loading: "Preparing the next clip…",
  play: "Play",
  stop: "Stop",
  noSound: "This recording cannot be played: please skip it.",
  said: "What is said",
  noWords: "(no words)",
  save: "Save, next clip",
  skip: "Skip",
  done: "All rated. Thank you.",
  nothing: "There is no recording to rate yet. Talk a little on the conversation page first.",
  failed: "That is not possible right now. Please try again later.",
  again: "Rate those skipped",
  download: "Download the ratings (CSV)",
  back: "Back to the conversation",
  saved: "Saved",
  questions: {
    confidence: { ask: "How confident does it sound?", low: "Not at all", high: "Very confident" },
    stability: { ask: "How steady is the voice?", low: "Very unsteady", high: "Very steady" },
    affability: { ask: "How friendly does it sound?", low: "Cold", high: "Very friendly" },
  },
  progress: (rated, total) => `${rated} of ${total} rated`,
  as: (name) => `Rated by ${name}`,
};
