type Phrase = (value: string) => string;

/** Texts of cloned voices: adding, training, sharing, deleting. */
export interface ClonedVoiceTranslations
  extends Record<
    | "title"
    | "none"
    | "add"
    | "addTitle"
    | "back"
    | "source"
    | "upload"
    | "record"
    | "drop"
    | "dropHint"
    | "choose"
    | "another"
    | "tooBig"
    | "aloud"
    | "recordHint"
    | "start"
    | "stop"
    | "again"
    | "recording"
    | "listen"
    | "noMicrophone"
    | "name"
    | "namePlaceholder"
    | "consent"
    | "speaker"
    | "speakerPlaceholder"
    | "statement"
    | "agree"
    | "send"
    | "checking"
    | "refusedTitle"
    | "sendFailed"
    | "preparing"
    | "preparingFailed"
    | "similar"
    | "similarNote"
    | "cloned"
    | "clonedNote"
    | "hearReference"
    | "stopReference"
    | "transcript"
    | "transcriptNote"
    | "checks"
    | "ok"
    | "warning"
    | "refused"
    | "learning"
    | "predicted"
    | "style"
    | "decoder"
    | "waiting"
    | "paused"
    | "done"
    | "cancelled"
    | "failed"
    | "learn"
    | "cancelLearning"
    | "rename"
    | "delete"
    | "deleteTitle"
    | "actionFailed"
    | "unavailable"
    | "environment"
    | "waitsForEnvironment"
    | "share"
    | "shareHint"
    | "others",
    string
  > {
  stages: Record<"listening" | "predicting", string>;
  kinds: Record<string, string>;
  uploading: Phrase;
  seconds: Phrase;
  similarity: Phrase;
  minutesLeft: Phrase;
  percent: Phrase;
  details: Phrase;
  actions: Phrase;
  deleteBody: Phrase;
  agreed: Phrase;
}

export const zhClonedVoices: ClonedVoiceTranslations = {
  title: "複製的聲音",
  none: "給快美一小段錄音，它就能用那個聲音回答。",
  add: "新增聲音",
  addTitle: "新增一個聲音",
  back: "回到聲音清單",
  source: "錄音從哪裡來",
  upload: "上傳檔案",
  record: "現在錄音",
  drop: "把錄音檔拖到這裡",
  dropHint: "常見的音訊格式都可以，最長 10 分鐘；4 到 15 秒清楚的說話就夠。",
  choose: "選擇檔案",
  another: "換一個檔案",
  tooBig: "這個檔案太大了，請先剪出 10 分鐘以內的一段。",
  aloud: "請唸出這段文字",
  recordHint: "用平常說話的語氣，離麥克風一個手掌遠，周圍安靜一點。大約 15 秒就夠。",
  start: "開始錄音",
  stop: "錄好了",
  again: "重錄",
  recording: "錄音中",
  listen: "聽聽看",
  noMicrophone: "麥克風打不開。請允許使用麥克風，或改用上傳檔案。",
  name: "名稱",
  namePlaceholder: "例如：媽媽",
  consent: "同意",
  speaker: "這是誰的聲音",
  speakerPlaceholder: "說話的人的姓名",
  statement: "同意的內容",
  agree: "我確認說話的人已經同意",
  send: "開始學習",
  checking: "正在聽這段錄音…",
  refusedTitle: "這段錄音還不能用",
  sendFailed: "沒有送成功",
  preparing: "準備中",
  preparingFailed: "沒有準備好",
  similar: "相似音色",
  similarNote: "目前只是接近的音色，還沒有學到真正像本人。",
  cloned: "複製音色",
  clonedNote: "量到的相似度已經夠高，可以算是複製的音色。",
  hearReference: "聽原來的錄音",
  stopReference: "停止播放",
  transcript: "錄音裡說的話",
  transcriptNote: "有錯字請改過來，會學得比較像。",
  checks: "錄音檢查",
  ok: "良好",
  warning: "注意",
  refused: "不能用",
  learning: "學習進度",
  predicted: "由錄音推測的音色",
  style: "第 1 步：學習音色",
  decoder: "第 2 步：學習細節",
  waiting: "排隊等候",
  paused: "有人在說話，先讓一讓",
  done: "完成",
  cancelled: "已停止",
  failed: "沒有成功",
  unavailable: "這台伺服器不能再深入學習",
  environment: "正在準備學習聲音要用的環境",
  waitsForEnvironment: "等學習環境準備好就開始",
  share: "和所有人分享",
  shareHint: "這台伺服器上的每個人都可以用這個聲音回答，但不能聽原來的錄音、修改或刪除。",
  others: "由其他人分享",
  learn: "繼續學習",
  cancelLearning: "停止學習",
  rename: "重新命名",
  delete: "刪除",
  deleteTitle: "刪除這個聲音？",
  actionFailed: "剛才的動作沒有完成，請再試一次。",
  stages: { listening: "正在聽錄音", predicting: "正在推測音色" },
  kinds: {
    speech: "說話長度",
    clipping: "破音",
    noise: "雜音",
    loudness: "音量",
    reverberation: "回音",
    music: "背景音樂",
    speakers: "說話人數",
    transcript: "逐字稿",
  },
  uploading: (percent) => `上傳中 ${percent}%`,
  seconds: (n) => `${n} 秒`,
  similarity: (value) => `目前相似度 ${value}，越接近 1 越像`,
  minutesLeft: (minutes) => `大約還要 ${minutes} 分鐘`,
  percent: (n) => `${n}%`,
  details: (name) => `「${name}」的詳細資料`,
  actions: (name) => `「${name}」的選項`,
  deleteBody: (name) => `「${name}」的錄音、學到的音色、試聽和正在進行的學習都會永久刪除，無法復原。用這個聲音說過的回覆會留下文字，聲音一併刪除。`,
  agreed: (who) => `已取得 ${who} 的同意`,
};

export const enClonedVoices: ClonedVoiceTranslations = {
  title: "Cloned voices",
  none: "Give kuaimei a short recording, and it can answer in that voice.",
  add: "Add a voice",
  addTitle: "Add a voice",
  back: "Back to the voices",
  source: "Where the recording comes from",
  upload: "Upload a file",
  record: "Record now",
  drop: "Drop a recording here",
  dropHint: "Any common audio format, up to 10 minutes; 4 to 15 seconds of clear speech are enough.",
  choose: "Choose a file",
  another: "Choose another file",
  tooBig: "This file is too large: cut out a part of up to 10 minutes first.",
  aloud: "Please read this aloud",
  recordHint: "Speak as you usually do, a hand’s width from the microphone, somewhere quiet. About 15 seconds are enough.",
  start: "Start recording",
  stop: "Done",
  again: "Record again",
  recording: "Recording",
  listen: "Listen to it",
  noMicrophone: "The microphone cannot be opened. Allow it, or upload a file instead.",
  name: "Name",
  namePlaceholder: "For example: Mum",
  consent: "Consent",
  speaker: "Whose voice is it",
  speakerPlaceholder: "Name of the person who speaks",
  statement: "What is agreed to",
  agree: "I confirm that the person who speaks has agreed",
  send: "Learn this voice",
  checking: "Listening to the recording…",
  refusedTitle: "This recording cannot be used yet",
  sendFailed: "It could not be sent",
  preparing: "Being prepared",
  preparingFailed: "It could not be prepared",
  similar: "Similar voice",
  similarNote: "For now this is only a voice that comes close; it has not been learned well enough to pass for the person.",
  cloned: "Cloned voice",
  clonedNote: "Its measured similarity is high enough to call it cloned.",
  hearReference: "Hear the original recording",
  stopReference: "Stop",
  transcript: "What is said in the recording",
  transcriptNote: "Correct what is wrong: it will be learned better.",
  checks: "The recording",
  ok: "Good",
  warning: "Mind",
  refused: "Unusable",
  learning: "Learning",
  predicted: "A guess from the recording",
  style: "Step 1: the voice",
  decoder: "Step 2: its details",
  waiting: "Waiting in line",
  paused: "Somebody is talking: it steps back",
  done: "Done",
  cancelled: "Stopped",
  failed: "That did not work",
  unavailable: "This server cannot learn it further",
  environment: "What voices are learned in is being prepared",
  waitsForEnvironment: "begins as soon as learning is possible here",
  share: "Share with everybody",
  shareHint: "Everybody on this server can have it answer, but cannot hear the original recording, change or delete it.",
  others: "Shared by somebody else",
  learn: "Go on learning",
  cancelLearning: "Stop learning",
  rename: "Rename",
  delete: "Delete",
  deleteTitle: "Delete this voice?",
  actionFailed: "That could not be done. Please try again.",
  stages: { listening: "Listening to the recording", predicting: "Guessing the voice" },
  kinds: {
    speech: "Length of speech",
    clipping: "Clipping",
    noise: "Noise",
    loudness: "Loudness",
    reverberation: "Echo",
    music: "Music",
    speakers: "Number of speakers",
    transcript: "Transcript",
  },
  uploading: (percent) => `Uploading, ${percent}%`,
  seconds: (n) => `${n} s`,
  similarity: (value) => `Similarity so far ${value}; the closer to 1, the more alike`,
  minutesLeft: (minutes) => `About ${minutes} min left`,
  percent: (n) => `${n}%`,
  details: (name) => `Details of “${name}”`,
  actions: (name) => `Options for “${name}”`,
  deleteBody: (name) =>
    `The recording of “${name}”, what was learned from it, its samples and any learning under way will be gone for good. What was said in it stays as words, without the sound.`,
  agreed: (who) => `${who} has agreed`,
};
