import { Anchor, Button } from "@mantine/core";
import type { ReactNode } from "react";

import { useTranslations } from "../i18n";
import { Logo } from "./Logo";
import { setPreferences, usePreferences } from "./preferences";
import classes from "./SecondaryPage.module.css";
import { usePageTitle } from "./usePageTitle";

interface Props {
  title: string;
  /** Label of the link back to the conversation. */
  back: string;
  intro: string;
  children: ReactNode;
}

/** Layout of a page other than the conversation, at a path of its own. */
export function SecondaryPage({ title, back, intro, children }: Props) {
  const t = useTranslations();
  const { locale } = usePreferences();
  usePageTitle(`${title} · ${t.brand}`);
  return (
    <div className={classes.page}>
      <header className={classes.header}>
        <Anchor href="/" className={classes.brand}>
          <Logo /> <span>{t.brand}</span>
          <span className="km-hidden"> {back}</span>
        </Anchor>
        <Button
          variant="subtle"
          color="gray"
          size="compact-md"
          onClick={() => setPreferences({ locale: locale === "en" ? "zh-TW" : "en" })}
          lang={locale === "en" ? "zh-Hant-TW" : "en"}
        >
          {t.switchLanguageShort}
          <span className="km-hidden"> {t.switchLanguage}</span>
        </Button>
      </header>
      <main className={classes.main}>
        <h1>{title}</h1>
        <p className={classes.intro}>{intro}</p>
        {children}
      </main>
    </div>
  );
}
