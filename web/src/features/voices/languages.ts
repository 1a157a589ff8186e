import type { Voice } from "../../api/voices";

export type Group = "zh" | "en" | "other";

/** Voices by the language they are at home in. */
export function byLanguage(voices: readonly Voice[]): [Group, Voice[]][] {
  const groups: Record<Group, Voice[]> = { zh: [], en: [], other: [] };
  for (const voice of voices) {
    const language = voice.language.toLowerCase();
    groups[language.startsWith("zh") ? "zh" : language.startsWith("en") ? "en" : "other"].push(voice);
  }
  return (Object.entries(groups) as [Group, Voice[]][]).filter(([, found]) => found.length > 0);
}
