type Phrase = (value: string) => string;

/** Texts of the listening test page. */
export interface ListeningTestTranslations
  extends Record<
    | "title"
    | "intro"
    | "kind"
    | "tiers"
    | "voices"
    | "loading"
    | "text"
    | "better"
    | "preferA"
    | "preferB"
    | "same"
    | "remark"
    | "remarkPlaceholder"
    | "next"
    | "skip"
    | "nothing"
    | "failed"
    | "gone"
    | "revealSame"
    | "results"
    | "none"
    | "pair"
    | "judged"
    | "share"
    | "download"
    | "forget"
    | "forgetTitle"
    | "forgetBody"
    | "back",
    string
  > {
  play: Phrase;
  stop: Phrase;
  reveal: Phrase;
  was: (a: string, b: string) => string;
  interval: Phrase;
}

export const zhListeningTest: ListeningTestTranslations = {
  title: "盲聽比較",
  intro: "同一句話的兩個版本，順序是隨機的。聽完之後選你覺得比較好的，選了才揭曉。",
  kind: "比較什麼",
  tiers: "快與美",
  voices: "兩個聲音",
  loading: "正在準備兩段聲音…",
  text: "說的是",
  better: "哪一個比較好？",
  preferA: "A 比較好",
  preferB: "B 比較好",
  same: "差不多",
  remark: "補充（可不填）",
  remarkPlaceholder: "例如：B 的語氣比較自然",
  next: "下一題",
  skip: "跳過",
  nothing: "現在沒有可以比較的聲音。",
  failed: "暫時沒辦法進行，請稍後再試。",
  gone: "這一題的聲音已經被刪除，換下一題。",
  revealSame: "你覺得差不多。",
  results: "目前的結果",
  none: "還沒有人評過。",
  pair: "比較",
  judged: "次數",
  share: "偏好前者",
  download: "下載結果（CSV）",
  forget: "清除所有結果",
  forgetTitle: "清除所有結果？",
  forgetBody: "所有的評分都會永久刪除，無法復原。",
  back: "回到對話",
  play: (which) => `播放 ${which}`,
  stop: (which) => `停止 ${which}`,
  reveal: (name) => `你比較喜歡「${name}」。`,
  was: (a, b) => `A 是「${a}」，B 是「${b}」。`,
  interval: (range) => `95% 信賴區間 ${range}`,
};

export const enListeningTest: ListeningTestTranslations = {
  title: "Blind listening",
  intro: "Two renderings of the same words, in random order. Listen, choose the one you like better, and only then it is told which is which.",
  kind: "What to compare",
  tiers: "Fast and fine",
  voices: "Two voices",
  loading: "Preparing both…",
  text: "What is said",
  better: "Which is better?",
  preferA: "A is better",
  preferB: "B is better",
  same: "No difference",
  remark: "Remark (optional)",
  remarkPlaceholder: "For example: B sounds more natural",
  next: "Next",
  skip: "Skip",
  nothing: "There is nothing to compare right now.",
  failed: "That is not possible right now. Please try again later.",
  gone: "One of the two was deleted meanwhile; here is the next.",
  revealSame: "You heard no difference.",
  results: "Results so far",
  none: "Nobody has judged yet.",
  pair: "Pair",
  judged: "Judged",
  share: "Prefer the first",
  download: "Download the results (CSV)",
  forget: "Forget all results",
  forgetTitle: "Forget all results?",
  forgetBody: "All judgements will be gone for good.",
  back: "Back to the conversation",
  play: (which) => `Play ${which}`,
  stop: (which) => `Stop ${which}`,
  reveal: (name) => `You prefer “${name}”.`,
  was: (a, b) => `A was “${a}”, B was “${b}”.`,
  interval: (range) => `95% confidence ${range}`,
};
