import { useDocumentTitle } from "@mantine/hooks";
import { useEffect } from "react";

import { usePreferences } from "./preferences";

/** Set the title of the document, and the language that it is in. */
export function usePageTitle(title: string): void {
  const { locale } = usePreferences();
  useDocumentTitle(title);
  useEffect(() => {
    document.documentElement.lang = locale === "en" ? "en" : "zh-Hant-TW";
  }, [locale]);
}
