import { ActionIcon, Button, Tooltip } from "@mantine/core";
import { IconMenu2, IconMoon, IconSettings, IconSun, IconWaveSine } from "@tabler/icons-react";

import { StatusLine } from "../features/status/StatusLine";
import { useTranslations } from "../i18n";
import { Logo } from "../shared/Logo";
import { setPreferences, usePreferences } from "../shared/preferences";
import classes from "./Header.module.css";

interface Props {
  onMenu: (() => void) | undefined;
  onVoices: () => void;
  onSettings: () => void;
}

export function Header({ onMenu, onVoices, onSettings }: Props) {
  const t = useTranslations();
  const { locale, scheme } = usePreferences();
  const dark =
    scheme === "dark" || (scheme === "auto" && window.matchMedia("(prefers-color-scheme: dark)").matches);
  const shade = dark ? t.settings.light : t.settings.dark;
  return (
    <header className={classes.header}>
      {onMenu && (
        <ActionIcon variant="subtle" color="gray" size={40} onClick={onMenu} aria-label={t.menu}>
          <IconMenu2 size={22} stroke={1.6} />
        </ActionIcon>
      )}
      {onMenu && (
        <h1 className={classes.brand}>
          <Logo /> <span>{t.brand}</span>
        </h1>
      )}
      <StatusLine />
      <div className={classes.tools}>
        <Tooltip label={t.voices.title}>
          <ActionIcon variant="subtle" color="gray" size={40} onClick={onVoices} aria-label={t.voices.title}>
            <IconWaveSine size={22} stroke={1.6} />
          </ActionIcon>
        </Tooltip>
        <Tooltip label={shade}>
          <ActionIcon
            variant="subtle"
            color="gray"
            size={40}
            onClick={() => setPreferences({ scheme: dark ? "light" : "dark" })}
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
          onClick={() => setPreferences({ locale: locale === "en" ? "zh-TW" : "en" })}
          lang={locale === "en" ? "zh-Hant-TW" : "en"}
        >
          {t.switchLanguageShort}
          <span className="km-hidden"> {t.switchLanguage}</span>
        </Button>
        <Tooltip label={t.settings.title}>
          <ActionIcon variant="subtle" color="gray" size={40} onClick={onSettings} aria-label={t.settings.title}>
            <IconSettings size={22} stroke={1.6} />
          </ActionIcon>
        </Tooltip>
      </div>
    </header>
  );
}
