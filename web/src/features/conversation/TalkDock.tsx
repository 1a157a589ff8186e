import { Button, SegmentedControl } from "@mantine/core";
import { IconHandStop, IconMicrophone, IconPlayerStopFilled } from "@tabler/icons-react";

import { client, useClient } from "../../app/client";
import { useMe } from "../../app/identity";
import { prefer, usePreferences } from "../../app/preferences";
import { useWords } from "../../i18n";
import type { Words } from "../../i18n/words";
import type { ClientState } from "../../realtime/client";
import type { Mode } from "../../realtime/commands";
import { Composer } from "./Composer";
import { Orb, type Mood } from "./Orb";
import classes from "./TalkDock.module.css";

export function moodOf(state: ClientState, mode: Mode): Mood {
  const { connection, session, talking, asking, pressed, encore } = state;
  const coming = connection.kind === "connecting" || connection.kind === "waiting" || connection.kind === "reconnecting";
  if (coming || asking) return "connecting";
  if (session.held) return "hearing";
  if (pressed) return "hearing";
  if (session.phase === "speaking") return "speaking";
  if (session.phase === "thinking") return "thinking";
  if (encore !== null && !session.speech) return "speaking"; // the server has come to its end before
  if (!talking || mode === "push-to-talk") return "idle";
  return session.speech ? "hearing" : "listening";
}

function caption(mood: Mood, state: ClientState, mode: Mode, words: Words["talk"]): string {
  if (mood === "idle") return mode === "push-to-talk" ? words.idleHold : words.idle;
  if (mood === "hearing" && state.session.held) return words.held;
  if (mood === "hearing" && state.pressed) return words.pressed;
  if (mood === "speaking" && !state.talking) return words.replying;
  return words[mood];
}

/** The one obvious thing to do, and beside it the other ways. */
export function TalkDock({ empty }: { empty: boolean }) {
  const words = useWords();
  const { mode } = usePreferences();
  const me = useMe();
  const state = useClient();
  const mood = moodOf(state, mode);
  const answering = state.session.response !== null || state.session.phase === "speaking" || state.encore !== null;
  return (
    <section className={classes.dock} data-empty={empty || undefined}>
      {empty && (
        <div className={classes.hero}>
          <h2>{words.hero}</h2>
          <p>{mode === "push-to-talk" ? words.heroPushToTalk : words.heroHandsFree}</p>
          {me && !me.keeping.keep && <p data-unkept>{words.account.notice.unkept}</p>}
        </div>
      )}
      <div className={classes.row}>
        <div className={classes.left}>{!empty && <ModeSwitch mode={mode} />}</div>
        <Orb mood={mood} mode={mode} talking={state.talking} large={empty} />
        <div className={classes.right}>
          {answering && (
            <Button
              variant="default"
              radius="xl"
              size="sm"
              leftSection={<IconPlayerStopFilled size={16} />}
              onClick={() => client.stop()}
              className={classes.stop}
              aria-label={words.talk.interrupt}
            >
              <span className={classes.stopText}>{words.talk.interrupt}</span>
            </Button>
          )}
        </div>
      </div>
      <p className={classes.caption} data-mood={mood} role="status">
        {caption(mood, state, mode, words.talk)}
      </p>
      {empty && (
        <div className={classes.modes}>
          <ModeSwitch mode={mode} />
        </div>
      )}
      <Composer />
      <p className={classes.shortcut}>{words.talk.shortcut}</p>
    </section>
  );
}

function ModeSwitch({ mode }: { mode: Mode }) {
  const words = useWords();
  return (
    <SegmentedControl
      size="xs"
      radius="xl"
      value={mode}
      aria-label={words.talk.mode}
      onChange={(value) => {
        prefer({ mode: value as Mode });
        client.refit();
      }}
      data={[
        { value: "hands-free", label: <Way icon={IconMicrophone} label={words.talk.handsFree} /> },
        { value: "push-to-talk", label: <Way icon={IconHandStop} label={words.talk.pushToTalk} /> },
      ]}
    />
  );
}

function Way({ icon: Icon, label }: { icon: typeof IconMicrophone; label: string }) {
  return (
    <span className={classes.way}>
      <Icon size={15} stroke={1.8} aria-hidden="true" />
      <span>{label}</span>
    </span>
  );
}
