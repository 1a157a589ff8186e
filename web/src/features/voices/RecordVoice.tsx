import { Button } from "@mantine/core";
import { IconMicrophone, IconPlayerStopFilled } from "@tabler/icons-react";
import { useEffect, useRef } from "react";

import { useWords } from "../../i18n";
import { clock } from "../conversation/clock";
import classes from "./AddVoice.module.css";
import type { Chosen } from "./DropFile";
import { Preview } from "./Preview";
import { useTaking } from "./useTaking";

interface Props {
  /** To be read aloud. */
  text: string;
  chosen: Chosen | null;
  onChosen: (chosen: Chosen | null) => void;
}

/** A recording made here and now, of a text to be read aloud. */
export function RecordVoice({ text, chosen, onChosen }: Props) {
  const own = useWords().own;
  const taking = useTaking((file) => onChosen({ file, name: "recording.wav" }));
  const meter = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    if (taking.state !== "recording") return undefined;
    let frame = 0;
    const draw = () => {
      meter.current?.style.setProperty("--level", taking.level().toFixed(3));
      frame = requestAnimationFrame(draw);
    };
    frame = requestAnimationFrame(draw);
    return () => cancelAnimationFrame(frame);
  }, [taking]);
  const recording = taking.state === "recording";
  return (
    <div className={classes.record}>
      <p>{own.aloud}</p>
      <blockquote className={classes.aloud}>{text}</blockquote>
      <small>{own.recordHint}</small>
      {recording && (
        <p className={classes.taking} role="status">
          <span className={classes.meter} ref={meter} aria-hidden="true">
            <i />
          </span>
          {own.recording} <time>{clock(taking.seconds)}</time>
        </p>
      )}
      {chosen && !recording && <Preview sound={chosen.file} />}
      {recording ? (
        <Button size="sm" leftSection={<IconPlayerStopFilled size={16} />} onClick={taking.stop}>
          {own.stop}
        </Button>
      ) : (
        <Button
          size="sm"
          variant={chosen ? "default" : "light"}
          leftSection={<IconMicrophone size={16} />}
          loading={taking.state === "opening"}
          onClick={() => {
            onChosen(null);
            void taking.start();
          }}
        >
          {chosen ? own.again : own.start}
        </Button>
      )}
      {taking.state === "failed" && (
        <p className={classes.error} role="alert">
          {own.noMicrophone}
        </p>
      )}
    </div>
  );
}
