/** Texts of the two renderings of a reply: fast and HQ. */
export type QualityTranslations = Record<
  | "fast"
  | "hq"
  | "choose"
  | "pending"
  | "pendingShort"
  | "ready"
  | "playing"
  | "failed"
  | "swap"
  | "swapHint"
  | "swapOn"
  | "swapOff",
  string
>;

export const zhQuality: QualityTranslations = {
  fast: "快",
  hq: "美",
  choose: "要聽哪一個版本",
  pending: "正在製作更好聽的版本",
  pendingShort: "美 製作中",
  ready: "有更好聽的版本可以聽",
  playing: "正在用更好聽的版本說",
  failed: "更好聽的版本沒有做成，快的版本仍然可以聽",
  swap: "自動換成美的版本",
  swapHint: "還在說話時，美的版本一做好就在句子之間換過去。",
  swapOn: "開",
  swapOff: "關",
};

export const enQuality: QualityTranslations = {
  fast: "Fast",
  hq: "Fine",
  choose: "Which rendering to hear",
  pending: "A finer rendering is being made",
  pendingShort: "Fine, in the making",
  ready: "There is a finer rendering; playing again uses it",
  playing: "Speaking in the finer rendering",
  failed: "The finer rendering did not come about; the fast one can still be played",
  swap: "Go over to the fine rendering",
  swapHint: "While a reply is still being spoken, it goes on in the fine rendering between two clauses.",
  swapOn: "On",
  swapOff: "Off",
};
