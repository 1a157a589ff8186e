import { createContext, use, type ReactNode } from "react";

import { en } from "./en";
import type { Translations } from "./translations";
import { zhTW } from "./zh-TW";

export type Locale = "zh-TW" | "en";

export const TRANSLATIONS: Record<Locale, Translations> = { "zh-TW": zhTW, en };

/** The first of the browser's languages that this page is translated into. */
export function detectLocale(languages: readonly string[]): Locale {
  for (const language of languages) {
    if (/^zh\b/i.test(language)) return "zh-TW";
    if (/^en\b/i.test(language)) return "en";
  }
  return "zh-TW";
}

const TranslationsContext = createContext<Translations>(zhTW);

export function LocaleProvider({ locale, children }: { locale: Locale; children: ReactNode }) {
  return <TranslationsContext value={TRANSLATIONS[locale]}>{children}</TranslationsContext>;
}

export function useTranslations(): Translations {
  return use(TranslationsContext);
}
