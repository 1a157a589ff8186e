import { Anchor, Button } from "@mantine/core";
import type { ReactNode } from "react";

import { useWords } from "../i18n";
import { useHeading } from "./heading";
import { Mark } from "./Mark";
import { prefer, usePreferences } from "./preferences";
import classes from "./SidePage.module.css";

interface Props {
  title: string;
  /** What the way back to the conversation is called. */
  back: string;
  intro: string;
  children: ReactNode;
}

/** A page beside the conversation, at an address of its own. */
export function SidePage({ title, back, intro, children }: Props) {
  const words = useWords();
  const { locale } = usePreferences();
  useHeading(`${title} · ${words.brand}`);
  return (
    <div className={classes.page}>
      <header className={classes.header}>
        <Anchor href="/" className={classes.brand}>
          <Mark /> <span>{words.brand}</span>
          <span className="km-hidden"> {back}</span>
        </Anchor>
        <Button
          variant="subtle"
          color="gray"
          size="compact-md"
          onClick={() => prefer({ locale: locale === "en" ? "zh-TW" : "en" })}
          lang={locale === "en" ? "zh-Hant-TW" : "en"}
        >
          {words.switchLanguageShort}
          <span className="km-hidden"> {words.switchLanguage}</span>
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
