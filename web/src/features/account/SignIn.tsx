import { Button, Checkbox, PasswordInput } from "@mantine/core";
import { useState, type FormEvent } from "react";

import { keyIn } from "../../api/key";
import { tryKey, type Verdict } from "../../api/me";
import { signIn, type Why } from "../../app/access";
import { useHeading } from "../../app/heading";
import { Mark } from "../../app/Mark";
import { prefer, usePreferences } from "../../app/preferences";
import { useWords } from "../../i18n";
import classes from "./SignIn.module.css";

/** Asks for a key; in place of every page until there is one. */
export function SignIn({ why }: { why: Why }) {
  const words = useWords();
  const says = words.account.signIn;
  const { locale } = usePreferences();
  const [given, setGiven] = useState("");
  const [remember, setRemember] = useState(false);
  const [state, setState] = useState<Verdict | "trying" | null>(null);
  useHeading(`${says.title} · ${words.brand}`);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (state === "trying") return;
    const key = keyIn(given);
    setState("trying");
    const verdict = key === "" ? "wrong" : await tryKey(key);
    if (verdict === "right") await signIn(key, remember);
    else setState(verdict);
  };
  const trouble = state === null || state === "trying" || state === "right" ? null : says[state];
  return (
    <div className={classes.page}>
      <main className={classes.card}>
        <div className={classes.head}>
          <span className={classes.brand}>
            <Mark size={30} /> <span>{words.brand}</span>
          </span>
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
        </div>
        <h1>{says.title}</h1>
        {why === "none" ? (
          <p>{says.lead}</p>
        ) : (
          <p className={classes.why} role="status" data-why={why}>
            {says[why]}
          </p>
        )}
        <form onSubmit={(event) => void submit(event)} noValidate>
          <PasswordInput
            label={says.key}
            description={says.keyHint}
            required
            withAsterisk={false}
            autoFocus
            autoComplete="off"
            spellCheck={false}
            size="md"
            value={given}
            visibilityToggleButtonProps={{ "aria-label": says.show }}
            aria-invalid={trouble !== null}
            error={trouble !== null && <span role="alert">{trouble}</span>}
            onChange={(event) => {
              setGiven(event.currentTarget.value);
              if (state !== "trying") setState(null);
            }}
          />
          <Checkbox
            label={says.remember}
            description={says.rememberHint}
            checked={remember}
            onChange={(event) => setRemember(event.currentTarget.checked)}
          />
          <Button type="submit" size="md" fullWidth disabled={given.trim() === ""} loading={state === "trying"}>
            {says.submit}
          </Button>
        </form>
      </main>
    </div>
  );
}
