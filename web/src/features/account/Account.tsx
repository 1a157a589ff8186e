import { Button, Checkbox } from "@mantine/core";
import { IconLogout, IconUserCircle } from "@tabler/icons-react";
import { useState } from "react";

import { apiKey, isRemembered, storeKey } from "../../api/key";
import { useTranslations } from "../../i18n";
import { clearThisBrowser, signOut } from "../../shared/auth";
import { useCurrentUser } from "../../shared/currentUser";
import classes from "./Account.module.css";
import { MyData } from "./MyData";

/** The signed-in user, how they signed in, and the button to sign out. */
export function Account() {
  const { who, signIn } = useTranslations().account;
  const me = useCurrentUser();
  const [remembered, setRemembered] = useState(isRemembered);
  if (!me) return null;
  const byKey = me.via !== "proxy" && me.via !== "open";
  return (
    <>
      <section className={classes.account} aria-labelledby="account" data-account={me.via}>
        <h3 id="account">{who.title}</h3>
        <div className={classes.who}>
          <IconUserCircle size={34} stroke={1.4} aria-hidden="true" />
          <div>
            <p>
              <strong>{me.name}</strong> <span className={classes.role}>{who.roles[me.role] ?? me.role}</span>
            </p>
            <p className={classes.soft}>{who.ways[me.via] ?? me.via}</p>
          </div>
        </div>
        {byKey && (
          <Checkbox
            label={signIn.remember}
            description={who.rememberHint}
            checked={remembered}
            onChange={(event) => {
              storeKey(apiKey(), event.currentTarget.checked);
              setRemembered(isRemembered());
            }}
          />
        )}
        <div>
          <Button
            variant="default"
            size="sm"
            leftSection={<IconLogout size={16} stroke={1.7} />}
            onClick={byKey ? signOut : clearThisBrowser}
          >
            {byKey ? who.signOut : who.forgetHere}
          </Button>
          <p className={classes.soft}>{byKey ? who.signOutHint : who.forgetHereHint}</p>
        </div>
      </section>
      <MyData me={me} />
    </>
  );
}
