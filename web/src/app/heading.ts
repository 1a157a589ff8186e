import { useEffect } from "react";

import { usePreferences } from "./preferences";

/** The title of the window, and the language that it is in. */
export function useHeading(title: string): void {
  const { locale } = usePreferences();
  useEffect(() => {
    document.documentElement.lang = locale === "en" ? "en" : "zh-Hant-TW";
    document.title = title;
  }, [locale, title]);
}
