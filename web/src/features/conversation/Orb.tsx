import { IconMicrophone, IconMicrophoneOff } from "@tabler/icons-react";
import { useEffect, useRef, type KeyboardEvent, type PointerEvent } from "react";

import { client } from "../../app/client";
import { useWords } from "../../i18n";
import type { Mode } from "../../realtime/commands";
import classes from "./Orb.module.css";
import { still } from "./still";

export type Mood = "idle" | "connecting" | "listening" | "hearing" | "thinking" | "speaking";

/** Between two looks at the level: whatever is drawn is taken from the cores that the answer is made on. */
const LEVEL_MS = 66;

/** Between two steps of what goes round and round. */
const PHASE_MS = 150;

/** How long one round takes: the ring breathes while it listens, and turns while it works. */
const BREATH_MS = 3_600;
const TURN_MS = 1_200;

const BARS = [0.55, 0.85, 1, 0.75, 0.5];

interface Props {
  mood: Mood;
  mode: Mode;
  talking: boolean;
  large: boolean;
}

/** The talk button: it breathes with whoever is speaking. */
export function Orb({ mood, mode, talking, large }: Props) {
  const words = useWords();
  const button = useRef<HTMLButtonElement>(null);
  const moving = talking || mood === "speaking";
  useLevel(button, moving, mood === "speaking");
  usePhase(button, mood);
  const holding = mode === "push-to-talk";
  const label = holding ? words.talk.hold : talking ? words.talk.stop : words.talk.start;
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
  const toggle = { onClick: () => (talking ? client.quiet() : void client.talk()) };
  const active = mood === "listening" || mood === "hearing" || mood === "speaking";
  return (
    <button
      ref={button}
      type="button"
      className={classes.orb}
      data-mood={mood}
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
        ) : mood === "idle" && talking && !holding ? (
          <IconMicrophoneOff />
        ) : (
          <IconMicrophone stroke={1.5} />
        )}
      </span>
    </button>
  );
}

/** Where in its round the ring is. */
function usePhase(button: React.RefObject<HTMLButtonElement | null>, mood: Mood): void {
  useEffect(() => {
    const breathing = mood === "listening";
    if (!(breathing || mood === "thinking" || mood === "connecting") || still()) return undefined;
    const began = performance.now();
    const timer = setInterval(() => {
      const round = ((performance.now() - began) / (breathing ? BREATH_MS : TURN_MS)) % 1;
      const phase = breathing ? Math.abs(2 * round - 1) : round; // there and back, or round and round
      button.current?.style.setProperty("--phase", phase.toFixed(2));
    }, PHASE_MS);
    return () => clearInterval(timer);
  }, [button, mood]);
}

/** Follow the loudness: the listener's own, or the reply's while it is being spoken. */
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
      shown += (level - shown) * (level > shown ? 0.9 : 0.4); // quick to rise, slow to fall: as an ear hears
      button.current?.style.setProperty("--level", shown.toFixed(2));
    };
    const timer = setInterval(draw, LEVEL_MS);
    return () => clearInterval(timer);
  }, [button, moving, speaking]);
}
