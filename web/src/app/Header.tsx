import { ActionIcon, Button, Tooltip } from "@mantine/core";
import { IconMenu2, IconMoon, IconSettings, IconSun, IconWaveSine } from "@tabler/icons-react";

import { StatusLine } from "../features/status/StatusLine";
import { useWords } from "../i18n";
import classes from "./Header.module.css";
import { Mark } from "./Mark";
import { prefer, usePreferences } from "./preferences";

interface Props {
  onMenu: (() => void) | undefined;
  onVoices: () => void;
  onSettings: () => void;
}

export function Header({ onMenu, onVoices, onSettings }: Props) {
  const words = useWords();
  const { locale, scheme } = usePreferences();
  const dark =
    scheme === "dark" || (scheme === "auto" && window.matchMedia("(prefers-color-scheme: dark)").matches);
  const shade = dark ? words.settings.light : words.settings.dark;
  return (
    <header className={classes.header}>
      {onMenu && (
        <ActionIcon variant="subtle" color="gray" size={40} onClick={onMenu} aria-label={words.menu}>
          <IconMenu2 size={22} stroke={1.6} />
        </ActionIcon>
      )}
      {onMenu && (
        <h1 className={classes.brand}>
          <Mark /> <span>{words.brand}</span>
        </h1>
      )}
      <StatusLine />
      <div className={classes.tools}>
        <Tooltip label={words.voices.title}>
          <ActionIcon variant="subtle" color="gray" size={40} onClick={onVoices} aria-label={words.voices.title}>
            <IconWaveSine size={22} stroke={1.6} />
          </ActionIcon>
        </Tooltip>
        <Tooltip label={shade}>
          <ActionIcon
            variant="subtle"
            color="gray"
            size={40}
            onClick={() => prefer({ scheme: dark ? "light" : "dark" })}
            aria-label={shade}
            className={classes.roomy}
          >
            {dark ? <IconSun size={22} stroke={1.6} /> : <IconMoon size={22} stroke={1.6} />}
          </ActionIcon>
        </Tooltip>
        <Button
          variant="subtle"
          color="gray"
          size="compact-md"
          className={classes.language}
          onClick={() => prefer({ locale: locale === "en" ? "zh-TW" : "en" })}
          lang={locale === "en" ? "zh-Hant-TW" : "en"}
        >
          {words.switchLanguageShort}
          <span className="km-hidden"> {words.switchLanguage}</span>
        </Button>
        <Tooltip label={words.settings.title}>
          <ActionIcon variant="subtle" color="gray" size={40} onClick={onSettings} aria-label={words.settings.title}>
            <IconSettings size={22} stroke={1.6} />
          </ActionIcon>
        </Tooltip>
      </div>
    </header>
  );
}
