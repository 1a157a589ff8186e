import { createContext, use, type ReactNode } from "react";

import { en } from "./en";
import type { Words } from "./words";
import { zhTW } from "./zh-TW";

export type Locale = "zh-TW" | "en";

export const WORDS: Record<Locale, Words> = { "zh-TW": zhTW, en };

/** The first of a browser's languages that this page speaks. */
export function detect(languages: readonly string[]): Locale {
  for (const language of languages) {
    if (/^zh\b/i.test(language)) return "zh-TW";
    if (/^en\b/i.test(language)) return "en";
  }
  return "zh-TW";
}

const Language = createContext<Words>(zhTW);

export function InLanguage({ locale, children }: { locale: Locale; children: ReactNode }) {
  return <Language value={WORDS[locale]}>{children}</Language>;
}

export function useWords(): Words {
  return use(Language);
}
