/** Texts of the speech analysis. Loaded with the components that use them, not with the first paint. */

import type { Score, UnscoredReason } from "../api/analysis";

type Phrase = (value: string) => string;

/** Name and unit of a feature, and how speech above or below the mean is described. */
export interface FeatureTranslations {
  name: string;
  unit: string;
  high: string;
  low: string;
}

export interface AnalysisTranslations
  extends Record<
    | "title"
    | "waiting"
    | "failed"
    | "asUsual"
    | "noUsual"
    | "why"
    | "none"
    | "raises"
    | "lowers"
    | "usual"
    | "drawing"
    | "play"
    | "pause"
    | "position"
    | "pitch"
    | "pauses"
    | "loudness"
    | "noSound"
    | "table"
    | "feature"
    | "measured"
    | "untold"
    | "start"
    | "caution"
    | "trends"
    | "trendsIntro"
    | "trendsNone"
    | "trendsFew"
    | "utterance"
    | "choose"
    | "average"
    | "asTable"
    | "download"
    | "typed",
    string
  > {
  scores: Record<Score, string>;
  reasons: Record<UnscoredReason, string>;
  features: Record<string, FeatureTranslations>;
  above: Phrase;
  below: Phrase;
  compared: Phrase;
  version: (extractor: string, head: string) => string;
  place: (at: string, length: string) => string;
  numbered: (n: string, of: string) => string;
  waitingCount: Phrase;
}

export const zhAnalysis: AnalysisTranslations = {
  title: "怎麼說的",
  waiting: "正在分析這段錄音…",
  failed: "分析結果暫時讀不到。",
  asUsual: "和平常差不多",
  noUsual: "說滿 5 句後和平常比",
  why: "為什麼",
  none: "每一項都和一般差不多",
  raises: "拉高",
  lowers: "拉低",
  usual: "平常",
  drawing: "音高與停頓",
  play: "播放",
  pause: "暫停",
  position: "播放位置",
  pitch: "音高（Hz）",
  pauses: "停頓",
  loudness: "聲音",
  noSound: "這段錄音播不出來。",
  table: "所有量測值",
  feature: "項目",
  measured: "數值",
  untold: "量不出來",
  start: "起點",
  caution: "由錄音量出來的數值算成，說的是聽起來如何，不是心裡怎麼想。",
  trends: "語氣的變化",
  trendsIntro: "你在這段對話裡說的每一句，虛線是你平常的程度。",
  trendsNone: "這段對話還沒有可以評分的話。",
  trendsFew: "平常的程度要說滿 5 句才知道。",
  utterance: "說的話",
  choose: "選一句",
  average: "這段對話",
  asTable: "用表格看",
  download: "下載資料（CSV）",
  typed: "（沒有文字）",
  scores: { confidence: "自信", stability: "穩定", affability: "親和" },
  reasons: {
    no_audio: "這句是打字的，或沒有留下錄音，所以沒有分數。",
    not_speech: "這段聲音聽不出在說話，所以沒有分數。",
    too_short: "這句太短了，短於一秒的話看不出語氣。",
    too_long: "這段超過十分鐘，語氣不會從頭到尾一樣，所以不評分。",
    too_noisy: "背景太吵，量出來的數值靠不住。換個安靜的地方，或離麥克風近一點。",
    no_voice: "幾乎沒有聲帶振動的聲音（像是氣音），量不出音高。",
    unreadable: "這段錄音讀不出來，所以沒有分數。",
    off: "這台伺服器沒有開啟語氣分析。",
  },
  features: {
    duration_s: { name: "全長", unit: "秒", high: "說得長", low: "說得短" },
    speech_s: { name: "實際說話", unit: "秒", high: "實際說話多", low: "實際說話少" },
    snr_db: { name: "信噪比", unit: "dB", high: "背景安靜", low: "背景吵" },
    rate_syl_s: { name: "語速", unit: "字/秒", high: "語速偏快", low: "語速偏慢" },
    pause_ratio: { name: "停頓比例", unit: "%", high: "停頓偏多", low: "停頓偏少" },
    pauses_per_min: { name: "停頓次數", unit: "次/分", high: "常常停下來", low: "很少停下來" },
    pause_mean_s: { name: "停頓長度", unit: "秒", high: "停頓偏長", low: "停頓偏短" },
    voiced_fraction: { name: "有聲比例", unit: "%", high: "聲音飽滿連貫", low: "氣音偏多" },
    fillers_per_min: { name: "填充詞", unit: "次/分", high: "「嗯、那個」偏多", low: "少說「嗯、那個」" },
    f0_mean_hz: { name: "平均音高", unit: "Hz", high: "音高偏高", low: "音高偏低" },
    f0_sd_st: { name: "音高起伏", unit: "半音", high: "語調起伏大", low: "語調偏平" },
    f0_range_st: { name: "音域", unit: "半音", high: "音域偏寬", low: "音域偏窄" },
    f0_change_st_s: { name: "音高變化", unit: "半音/秒", high: "音高變化快", low: "音高變化慢" },
    f0_final_st: { name: "句尾走向", unit: "半音", high: "句尾偏向上揚", low: "句尾偏向下降" },
    tremor_st: { name: "音高顫抖", unit: "半音", high: "聲音有些抖", low: "聲音不抖" },
    jitter: { name: "週期微擾", unit: "%", high: "聲帶振動不太勻", low: "聲帶振動均勻" },
    shimmer: { name: "振幅微擾", unit: "%", high: "音量細微跳動", low: "音量細節平穩" },
    hnr_db: { name: "諧噪比", unit: "dB", high: "嗓音清亮", low: "嗓音偏沙啞" },
    level_sd_db: { name: "音量起伏", unit: "dB", high: "輕重分明", low: "輕重差別小" },
    level_range_db: { name: "音量範圍", unit: "dB", high: "音量範圍偏大", low: "音量範圍偏小" },
  },
  above: (points) => `比平常高 ${points}`,
  below: (points) => `比平常低 ${points}`,
  compared: (n) => `和先前 ${n} 句比`,
  version: (extractor, head) => `量測 ${extractor}，評分 ${head}`,
  place: (at, length) => `${at}，全長 ${length}`,
  numbered: (n, of) => `第 ${n} 句，共 ${of} 句`,
  waitingCount: (n) => `還有 ${n} 句正在分析`,
};

export const enAnalysis: AnalysisTranslations = {
  title: "How it was spoken",
  waiting: "Analysing the recording…",
  failed: "The analysis cannot be read right now.",
  asUsual: "About as usual",
  noUsual: "Compared after 5 utterances",
  why: "Why",
  none: "Nothing stands out",
  raises: "raises it",
  lowers: "lowers it",
  usual: "Usual",
  drawing: "Pitch and pauses",
  play: "Play",
  pause: "Pause",
  position: "Position",
  pitch: "Pitch (Hz)",
  pauses: "Pause",
  loudness: "Sound",
  noSound: "This recording cannot be played.",
  table: "Everything that was measured",
  feature: "Measure",
  measured: "Value",
  untold: "cannot be told",
  start: "Starting point",
  caution: "Calculated from what was measured in the recording: how it sounds, not what anybody feels.",
  trends: "How the manner changes",
  trendsIntro: "Everything you said in this conversation; the dashed line is what is usual for you.",
  trendsNone: "Nothing in this conversation could be scored yet.",
  trendsFew: "What is usual for you is known after 5 utterances.",
  utterance: "Words",
  choose: "Choose an utterance",
  average: "This conversation",
  asTable: "As a table",
  download: "Download the data (CSV)",
  typed: "(no words)",
  scores: { confidence: "Confidence", stability: "Stability", affability: "Affability" },
  reasons: {
    no_audio: "This was typed, or its recording is not kept: there is nothing to score.",
    not_speech: "Nobody can be heard speaking here, so there are no scores.",
    too_short: "This is too short: less than a second of speech says nothing about its manner.",
    too_long: "This is longer than ten minutes, in which nobody speaks in one manner: it is not scored.",
    too_noisy: "The background is too loud for the measures to be trusted. Try somewhere quieter, or closer to the microphone.",
    no_voice: "There is hardly any voice in it (a whisper, perhaps), so its pitch cannot be measured.",
    unreadable: "The recording cannot be read, so there are no scores.",
    off: "This server does not analyse how people speak.",
  },
  features: {
    duration_s: { name: "Length", unit: "s", high: "Long", low: "Short" },
    speech_s: { name: "Speech", unit: "s", high: "Much speech in it", low: "Little speech in it" },
    snr_db: { name: "Signal to noise", unit: "dB", high: "Quiet background", low: "Loud background" },
    rate_syl_s: { name: "Speech rate", unit: "syllables/s", high: "Speaks fast", low: "Speaks slowly" },
    pause_ratio: { name: "Share of pauses", unit: "%", high: "Much of it is pauses", low: "Few pauses" },
    pauses_per_min: { name: "Pauses", unit: "per min", high: "Pauses often", low: "Seldom pauses" },
    pause_mean_s: { name: "Length of pauses", unit: "s", high: "Long pauses", low: "Short pauses" },
    voiced_fraction: { name: "Voiced share", unit: "%", high: "Full, continuous voice", low: "Rather breathy" },
    fillers_per_min: { name: "Filler words", unit: "per min", high: "Many “uh”s", low: "Few “uh”s" },
    f0_mean_hz: { name: "Mean pitch", unit: "Hz", high: "High pitch", low: "Low pitch" },
    f0_sd_st: { name: "Pitch variation", unit: "semitones", high: "Lively intonation", low: "Flat intonation" },
    f0_range_st: { name: "Pitch range", unit: "semitones", high: "Wide pitch range", low: "Narrow pitch range" },
    f0_change_st_s: { name: "Pitch movement", unit: "semitones/s", high: "Pitch moves fast", low: "Pitch moves slowly" },
    f0_final_st: { name: "Ending", unit: "semitones", high: "Ends rather rising", low: "Ends rather falling" },
    tremor_st: { name: "Tremor", unit: "semitones", high: "Voice trembles a little", low: "Voice is not shaky" },
    jitter: { name: "Jitter", unit: "%", high: "Uneven vocal folds", low: "Even vocal folds" },
    shimmer: { name: "Shimmer", unit: "%", high: "Loudness flickers", low: "Loudness is steady" },
    hnr_db: { name: "Harmonics to noise", unit: "dB", high: "Clear voice", low: "Rather hoarse" },
    level_sd_db: { name: "Loudness variation", unit: "dB", high: "Marked emphasis", low: "Little emphasis" },
    level_range_db: { name: "Loudness range", unit: "dB", high: "Wide loudness range", low: "Narrow loudness range" },
  },
  above: (points) => `${points} above usual`,
  below: (points) => `${points} below usual`,
  compared: (n) => `Compared with ${n} earlier utterances`,
  version: (extractor, head) => `Measured by ${extractor}, scored by ${head}`,
  place: (at, length) => `${at} of ${length}`,
  numbered: (n, of) => `Utterance ${n} of ${of}`,
  waitingCount: (n) => `${n} still being analysed`,
};
