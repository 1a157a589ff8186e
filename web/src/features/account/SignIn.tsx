import { Button, Checkbox, PasswordInput } from "@mantine/core";
import { useState, type FormEvent } from "react";

import { parseKey } from "../../api/key";
import { checkKey, type KeyCheckResult } from "../../api/me";
import { useTranslations } from "../../i18n";
import { signIn, type SignedOutReason } from "../../shared/auth";
import { Logo } from "../../shared/Logo";
import { setPreferences, usePreferences } from "../../shared/preferences";
import { usePageTitle } from "../../shared/usePageTitle";
import classes from "./SignIn.module.css";

/** Asks for a key; shown in place of every page until there is one. */
export function SignIn({ reason }: { reason: SignedOutReason }) {
  const t = useTranslations();
  const labels = t.account.signIn;
  const { locale } = usePreferences();
  const [draft, setDraft] = useState("");
  const [remember, setRemember] = useState(false);
  const [state, setState] = useState<KeyCheckResult | "trying" | null>(null);
  usePageTitle(`${labels.title} · ${t.brand}`);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (state === "trying") return;
    const key = parseKey(draft);
    setState("trying");
    const result = key === "" ? "wrong" : await checkKey(key);
    if (result === "right") await signIn(key, remember);
    else setState(result);
  };
  const trouble = state === null || state === "trying" || state === "right" ? null : labels[state];
  return (
    <div className={classes.page}>
      <main className={classes.card}>
        <div className={classes.head}>
          <span className={classes.brand}>
            <Logo size={30} /> <span>{t.brand}</span>
          </span>
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
        </div>
        <h1>{labels.title}</h1>
        {reason === "none" ? (
          <p>{labels.lead}</p>
        ) : (
          <p className={classes.why} role="status" data-why={reason}>
            {labels[reason]}
          </p>
        )}
        <form onSubmit={(event) => void submit(event)} noValidate>
          <PasswordInput
            label={labels.key}
            description={labels.keyHint}
            required
            withAsterisk={false}
            autoFocus
            autoComplete="off"
            spellCheck={false}
            size="md"
            value={draft}
            visibilityToggleButtonProps={{ "aria-label": labels.show }}
            aria-invalid={trouble !== null}
            error={trouble !== null && <span role="alert">{trouble}</span>}
            onChange={(event) => {
              setDraft(event.currentTarget.value);
              if (state !== "trying") setState(null);
            }}
          />
          <Checkbox
            label={labels.remember}
            description={labels.rememberHint}
            checked={remember}
            onChange={(event) => setRemember(event.currentTarget.checked)}
          />
          <Button type="submit" size="md" fullWidth disabled={draft.trim() === ""} loading={state === "trying"}>
            {labels.submit}
          </Button>
        </form>
      </main>
    </div>
  );
}
