import { Button, SegmentedControl } from "@mantine/core";
import { IconHandStop, IconMicrophone, IconPlayerStopFilled } from "@tabler/icons-react";

import { useTranslations } from "../../i18n";
import type { Translations } from "../../i18n/translations";
import type { ClientState } from "../../realtime/client";
import type { TalkMode } from "../../realtime/clientEvents";
import { client, useClient } from "../../shared/client";
import { useCurrentUser } from "../../shared/currentUser";
import { setPreferences, usePreferences } from "../../shared/preferences";
import { Composer } from "./Composer";
import { TalkButton, type TalkState } from "./TalkButton";
import classes from "./TalkDock.module.css";

export function talkStateOf(state: ClientState, mode: TalkMode): TalkState {
  const { connection, session, talking, askingConsent, pressed, hqItemId } = state;
  const connecting = connection.kind === "connecting" || connection.kind === "waiting" || connection.kind === "reconnecting";
  if (connecting || askingConsent) return "connecting";
  if (session.held) return "hearing";
  if (pressed) return "hearing";
  if (session.phase === "speaking") return "speaking";
  if (session.phase === "thinking") return "thinking";
  if (hqItemId !== null && !session.userSpeaking) return "speaking"; // the server has finished the reply already
  if (!talking || mode === "push-to-talk") return "idle";
  return session.userSpeaking ? "hearing" : "listening";
}

function caption(talkState: TalkState, state: ClientState, mode: TalkMode, t: Translations["talk"]): string {
  if (talkState === "idle") return mode === "push-to-talk" ? t.idleHold : t.idle;
  if (talkState === "hearing" && state.session.held) return t.held;
  if (talkState === "hearing" && state.pressed) return t.pressed;
  if (talkState === "speaking" && !state.talking) return t.replying;
  return t[talkState];
}

/** The talk button with its caption, the mode switch and the composer. */
export function TalkDock({ empty }: { empty: boolean }) {
  const t = useTranslations();
  const { mode } = usePreferences();
  const me = useCurrentUser();
  const state = useClient();
  const talkState = talkStateOf(state, mode);
  const replying = state.session.response !== null || state.session.phase === "speaking" || state.hqItemId !== null;
  return (
    <section className={classes.dock} data-empty={empty || undefined}>
      {empty && (
        <div className={classes.hero}>
          <h2>{t.hero}</h2>
          <p>{mode === "push-to-talk" ? t.heroPushToTalk : t.heroHandsFree}</p>
          {me && !me.keeping.keep && <p data-unkept>{t.account.notice.unkept}</p>}
        </div>
      )}
      <div className={classes.row}>
        <div className={classes.left}>{!empty && <ModeSwitch mode={mode} />}</div>
        <TalkButton talkState={talkState} mode={mode} talking={state.talking} large={empty} />
        <div className={classes.right}>
          {replying && (
            <Button
              variant="default"
              radius="xl"
              size="sm"
              leftSection={<IconPlayerStopFilled size={16} />}
              onClick={() => client.stopReply()}
              className={classes.stop}
              aria-label={t.talk.interrupt}
            >
              <span className={classes.stopText}>{t.talk.interrupt}</span>
            </Button>
          )}
        </div>
      </div>
      <p className={classes.caption} data-mood={talkState} role="status">
        {caption(talkState, state, mode, t.talk)}
      </p>
      {empty && (
        <div className={classes.modes}>
          <ModeSwitch mode={mode} />
        </div>
      )}
      <Composer />
      <p className={classes.shortcut}>{t.talk.shortcut}</p>
    </section>
  );
}

function ModeSwitch({ mode }: { mode: TalkMode }) {
  const t = useTranslations();
  return (
    <SegmentedControl
      size="xs"
      radius="xl"
      value={mode}
      aria-label={t.talk.mode}
      onChange={(value) => {
        setPreferences({ mode: value as TalkMode });
        client.applyPreferences();
      }}
      data={[
        { value: "hands-free", label: <ModeLabel icon={IconMicrophone} label={t.talk.handsFree} /> },
        { value: "push-to-talk", label: <ModeLabel icon={IconHandStop} label={t.talk.pushToTalk} /> },
      ]}
    />
  );
}

function ModeLabel({ icon: Icon, label }: { icon: typeof IconMicrophone; label: string }) {
  return (
    <span className={classes.modeLabel}>
      <Icon size={15} stroke={1.8} aria-hidden="true" />
      <span>{label}</span>
    </span>
  );
}
