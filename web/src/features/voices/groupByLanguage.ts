import type { Voice } from "../../api/voices";

export type LanguageGroup = "zh" | "en" | "other";

/** Group voices by their language. */
export function groupByLanguage(voices: readonly Voice[]): [LanguageGroup, Voice[]][] {
  const groups: Record<LanguageGroup, Voice[]> = { zh: [], en: [], other: [] };
  for (const voice of voices) {
    const language = voice.language.toLowerCase();
    groups[language.startsWith("zh") ? "zh" : language.startsWith("en") ? "en" : "other"].push(voice);
  }
  return (Object.entries(groups) as [LanguageGroup, Voice[]][]).filter(([, found]) => found.length > 0);
}
