import { IconMicrophone, IconMicrophoneOff } from "@tabler/icons-react";
import { useEffect, useRef, type KeyboardEvent, type PointerEvent } from "react";

import { useTranslations } from "../../i18n";
import type { TalkMode } from "../../realtime/clientEvents";
import { client } from "../../shared/client";
import { prefersReducedMotion } from "./reducedMotion";
import classes from "./TalkButton.module.css";

export type TalkState = "idle" | "connecting" | "listening" | "hearing" | "thinking" | "speaking";

/** Interval of level updates. Drawing is kept rare: it competes with inference for CPU. */
const LEVEL_INTERVAL_MS = 66;

/** Interval between two steps of the ring's animation. */
const PHASE_INTERVAL_MS = 150;

/** Periods of the ring's animations: it pulses while listening, and rotates while thinking or connecting. */
const BREATHING_PERIOD_MS = 3_600;
const ROTATION_PERIOD_MS = 1_200;

const BARS = [0.55, 0.85, 1, 0.75, 0.5];

interface Props {
  talkState: TalkState;
  mode: TalkMode;
  talking: boolean;
  large: boolean;
}

/** The talk button; follows the level of the user's or the reply's audio. */
export function TalkButton({ talkState, mode, talking, large }: Props) {
  const t = useTranslations();
  const button = useRef<HTMLButtonElement>(null);
  const moving = talking || talkState === "speaking";
  useLevel(button, moving, talkState === "speaking");
  usePhase(button, talkState);
  const holding = mode === "push-to-talk";
  const label = holding ? t.talk.hold : talking ? t.talk.stop : t.talk.start;
  const hold = {
    onPointerDown: (event: PointerEvent<HTMLButtonElement>) => {
      if (event.button !== 0) return;
      event.currentTarget.setPointerCapture(event.pointerId);
      void client.press();
    },
    onPointerUp: () => client.release(),
    onPointerCancel: () => client.release(),
    onContextMenu: (event: { preventDefault: () => void }) => event.preventDefault(),
    onKeyDown: (event: KeyboardEvent) => {
      if (event.key === "Enter" && !event.repeat) void client.press();
    },
    onKeyUp: (event: KeyboardEvent) => {
      if (event.key === "Enter") client.release();
    },
  };
  const toggle = { onClick: () => (talking ? client.mute() : void client.talk()) };
  const active = talkState === "listening" || talkState === "hearing" || talkState === "speaking";
  return (
    <button
      ref={button}
      type="button"
      className={classes.button}
      data-mood={talkState}
      data-large={large || undefined}
      data-talk
      aria-label={label}
      aria-pressed={holding ? undefined : talking}
      {...(holding ? hold : toggle)}
    >
      <span className={classes.halo} aria-hidden="true" />
      <span className={classes.ring} aria-hidden="true" />
      <span className={classes.core} aria-hidden="true">
        {active ? (
          <span className={classes.bars}>
            {BARS.map((weight, index) => (
              <i key={index} ref={(bar) => void bar?.style.setProperty("--weight", String(weight))} />
            ))}
          </span>
        ) : talkState === "idle" && talking && !holding ? (
          <IconMicrophoneOff />
        ) : (
          <IconMicrophone stroke={1.5} />
        )}
      </span>
    </button>
  );
}

/** Animate the ring in steps. */
function usePhase(button: React.RefObject<HTMLButtonElement | null>, talkState: TalkState): void {
  useEffect(() => {
    const breathing = talkState === "listening";
    if (!(breathing || talkState === "thinking" || talkState === "connecting") || prefersReducedMotion()) return undefined;
    const began = performance.now();
    const timer = setInterval(() => {
      const round = ((performance.now() - began) / (breathing ? BREATHING_PERIOD_MS : ROTATION_PERIOD_MS)) % 1;
      const phase = breathing ? Math.abs(2 * round - 1) : round; // back and forth, or round
      button.current?.style.setProperty("--phase", phase.toFixed(2));
    }, PHASE_INTERVAL_MS);
    return () => clearInterval(timer);
  }, [button, talkState]);
}

/** Follow the level: the user's, or the reply's while it is playing. */
function useLevel(button: React.RefObject<HTMLButtonElement | null>, moving: boolean, speaking: boolean): void {
  useEffect(() => {
    if (!moving) {
      button.current?.style.setProperty("--level", "0");
      return undefined;
    }
    let shown = 0;
    const draw = () => {
      const { microphone, reply } = client.levels();
      const level = speaking ? Math.max(reply, microphone * 0.5) : microphone;
      shown += (level - shown) * (level > shown ? 0.9 : 0.4); // fast attack, slow release
      button.current?.style.setProperty("--level", shown.toFixed(2));
    };
    const timer = setInterval(draw, LEVEL_INTERVAL_MS);
    return () => clearInterval(timer);
  }, [button, moving, speaking]);
}
