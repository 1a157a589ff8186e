import type { Me } from "../api/me";

type Phrase = (value: string) => string;

/** Texts of signing in and out, of the account, and of the user's data. */
export interface AccountTranslations {
  signIn: Record<
    | "title"
    | "lead"
    | "key"
    | "keyHint"
    | "show"
    | "remember"
    | "rememberHint"
    | "submit"
    | "wrong"
    | "loading"
    | "offline"
    | "refused"
    | "revoked"
    | "left",
    string
  >;
  who: Record<
    "title" | "signOut" | "forgetHere" | "forgetHereHint" | "rememberHint" | "signOutHint" | "fromAddressBody",
    string
  > & {
    roles: Record<Me["role"], string>;
    ways: Record<Me["via"], string>;
    fromAddress: Phrase;
  };
  mine: Record<
    | "title"
    | "nothingKept"
    | "export"
    | "exporting"
    | "exportFailed"
    | "forget"
    | "forgetTitle"
    | "forgetBody"
    | "forgetFinal"
    | "forgetFailed"
    | "forgotten"
    | "going"
    | "left",
    string
  > & {
    /** How long conversations are kept. */
    kept: (days: number) => string;
    voicesKept: (days: number) => string;
    came: Phrase;
    goes: readonly string[];
    confirm: Phrase;
    counted: (sessions: number, voices: number) => string;
  };
  notice: Record<"title" | "lead" | "where" | "analysed" | "delete" | "agree" | "refuse" | "failed" | "unkept", string> & {
    long: (days: number) => string;
  };
}

const zhDays = (days: number): string => (Number.isInteger(days) ? `${days} 天` : `${Math.round(days * 24)} 小時`);

export const zhAccount: AccountTranslations = {
  signIn: {
    title: "登入快美",
    lead: "這台伺服器只開放給有金鑰的人。",
    key: "金鑰",
    keyHint: "請向管理這台伺服器的人索取。伺服器就在這台電腦上的話，在終端機執行 kuaimei key 就會印出來。",
    show: "顯示或隱藏",
    remember: "記住這個裝置",
    rememberHint: "不勾選的話，關掉分頁就要重新登入。和別人共用的電腦請不要勾選。",
    submit: "登入",
    wrong: "伺服器不認得這把金鑰。請檢查有沒有少貼幾個字。",
    loading: "伺服器還在載入，現在不能檢查金鑰。請等幾秒鐘再試。",
    offline: "連不上伺服器。請檢查網路，再試一次。",
    refused: "這個瀏覽器裡的金鑰已經不能用了，請重新登入。",
    revoked: "這把金鑰已經被撤銷。這個瀏覽器裡的資料都清除了；請向管理者要一把新的。",
    left: "已經登出，這個瀏覽器裡的資料都清除了。",
  },
  who: {
    title: "你的帳號",
    roles: { operator: "管理者", member: "成員" },
    ways: {
      machine_key: "用這台電腦的金鑰登入",
      api_key: "用共用的 API 金鑰登入",
      key: "用個人金鑰登入",
      proxy: "由公司的登入帶進來",
      open: "這台伺服器不需要登入",
    },
    signOut: "登出",
    signOutHint: "登出會清除這個瀏覽器裡的金鑰、設定和畫面上的內容；伺服器上的紀錄都還在。",
    forgetHere: "清除這個瀏覽器",
    forgetHereHint: "清除這個瀏覽器裡的設定和畫面上的內容；伺服器上的紀錄都還在。",
    rememberHint: "關掉分頁以後不用重新登入。和別人共用的電腦請不要勾選。",
    fromAddress: (name) => `你現在是「${name}」`,
    fromAddressBody: "網址裡帶著這個人的金鑰。如果這不是你，請到設定裡登出。",
  },
  mine: {
    title: "你的資料",
    nothingKept: "這台伺服器不保存說過的話。",
    kept: (days) => (days > 0 ? `對話保存 ${zhDays(days)}，到期自動刪除。` : "對話會一直保存，直到有人刪除。"),
    voicesKept: (days) => (days > 0 ? `複製的聲音保存 ${zhDays(days)}，到期自動刪除。` : "複製的聲音會一直保存，直到有人刪除。"),
    export: "下載我的全部資料",
    exporting: "正在打包下載",
    came: (size) => `已下載 ${size}`,
    exportFailed: "下載沒有完成，請再試一次。",
    forget: "刪除我的全部資料",
    forgetTitle: "刪除你的全部資料？",
    forgetBody: "以下全部會永久刪除，無法復原：",
    goes: [
      "所有對話：說過和打過的文字、錄音、回答",
      "對你說話語氣的所有分析",
      "你複製的聲音：錄音、學到的音色、分享出去的也一樣",
    ],
    forgetFinal: "想留一份的話，請先下載。",
    confirm: (name) => `輸入你的名字「${name}」來確認`,
    forgetFailed: "沒有刪除成功，請再試一次。",
    forgotten: "已經全部刪除",
    going: "正在刪除，會自動做完，不用等在這裡。",
    counted: (sessions, voices) => `刪除了 ${sessions} 段對話、${voices} 個聲音。`,
    left: "這些還沒有刪掉，請告訴管理者：",
  },
  notice: {
    title: "開始之前：你說的話會被錄下來",
    lead: "快美會保存你說的和打的每一句話，以及它的回答。",
    long: (days) => (days > 0 ? `保存 ${zhDays(days)}，到期自動刪除。` : "一直保存，直到你或管理者刪除。"),
    where: "只保存在這台伺服器上。",
    analysed: "錄音會在這台伺服器上分析，例如說話的語氣。",
    delete: "隨時可以刪除：對話紀錄裡一段一段刪，或在設定裡一次全部刪除。",
    agree: "同意並開始",
    refuse: "不要",
    failed: "你的同意沒有送到伺服器，所以還沒有開始。請再按一次。",
    unkept: "這台伺服器不保存說過的話。",
  },
};

const enDays = (days: number): string => {
  const [number, unit] = Number.isInteger(days) ? [days, "day"] : [Math.round(days * 24), "hour"];
  return `${number} ${unit}${number === 1 ? "" : "s"}`;
};

const enMany = (count: number, one: string): string => `${count} ${one}${count === 1 ? "" : "s"}`;

export const enAccount: AccountTranslations = {
  signIn: {
    title: "Sign in to kuaimei",
    lead: "This server is for people who have a key.",
    key: "Key",
    keyHint: "Ask whoever runs this server for it. If the server runs on this machine, “kuaimei key” in a terminal prints it.",
    show: "Show or hide it",
    remember: "Remember this device",
    rememberHint: "Otherwise you sign in again after closing the tab. Leave it off on a computer that others use.",
    submit: "Sign in",
    wrong: "The server does not know this key. Check whether some of it is missing.",
    loading: "The server is still loading and cannot check keys yet. Try again in a few seconds.",
    offline: "The server cannot be reached. Check the network and try again.",
    refused: "The key in this browser no longer works: please sign in again.",
    revoked: "This key has been revoked. Everything in this browser was cleared; ask whoever runs the server for a new one.",
    left: "You have signed out, and everything in this browser was cleared.",
  },
  who: {
    title: "Your account",
    roles: { operator: "Operator", member: "Member" },
    ways: {
      machine_key: "Signed in with this machine’s key",
      api_key: "Signed in with the shared API key",
      key: "Signed in with a personal key",
      proxy: "Signed in by your company",
      open: "No sign-in is needed here",
    },
    signOut: "Sign out",
    signOutHint: "Clears the key, the settings and what is shown in this browser; what the server keeps stays.",
    forgetHere: "Clear this browser",
    forgetHereHint: "Clears the settings and what is shown in this browser; what the server keeps stays.",
    rememberHint: "You stay signed in after closing the tab. Leave it off on a computer that others use.",
    fromAddress: (name) => `You are “${name}” now`,
    fromAddressBody: "The address carried this person’s key. If that is not you, sign out in the settings.",
  },
  mine: {
    title: "Your data",
    nothingKept: "This server keeps nothing of what is said.",
    kept: (days) =>
      days > 0 ? `Conversations are kept for ${enDays(days)} and then deleted.` : "Conversations are kept until somebody deletes them.",
    voicesKept: (days) =>
      days > 0 ? `Cloned voices are kept for ${enDays(days)} and then deleted.` : "Cloned voices are kept until somebody deletes them.",
    export: "Download all my data",
    exporting: "Being packed and downloaded",
    came: (size) => `${size} downloaded`,
    exportFailed: "The download was not completed. Try again.",
    forget: "Delete all my data",
    forgetTitle: "Delete all your data?",
    forgetBody: "All of this will be deleted for good:",
    goes: [
      "Every conversation: what was said and typed, the recordings, the replies",
      "Every analysis of how you speak",
      "The voices you cloned: recordings and what was learned, also those you share",
    ],
    forgetFinal: "Download it first if you want to keep a copy.",
    confirm: (name) => `Type your name, “${name}”, to confirm`,
    forgetFailed: "It was not deleted. Try again.",
    forgotten: "Everything was deleted",
    going: "It is being deleted and will be finished by itself: there is no need to wait here.",
    counted: (sessions, voices) => `${enMany(sessions, "conversation")} and ${enMany(voices, "voice")} were deleted.`,
    left: "These could not be deleted yet: tell whoever runs the server.",
  },
  notice: {
    title: "Before you start: what you say is recorded",
    lead: "kuaimei keeps everything that you say and type, and what it answers.",
    long: (days) => (days > 0 ? `It is kept for ${enDays(days)} and then deleted.` : "It is kept until you or the operator deletes it."),
    where: "It is kept on this server only.",
    analysed: "The recordings are analysed on this server, for example how you speak.",
    delete: "You can delete it at any time: one conversation at a time, or everything at once in the settings.",
    agree: "Agree and start",
    refuse: "No",
    failed: "Your agreement did not reach the server, so nothing has started. Press it again.",
    unkept: "This server keeps nothing of what is said.",
  },
};
