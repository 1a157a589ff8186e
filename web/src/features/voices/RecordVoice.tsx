import { Button } from "@mantine/core";
import { IconMicrophone, IconPlayerStopFilled } from "@tabler/icons-react";
import { useEffect, useRef } from "react";

import { useTranslations } from "../../i18n";
import { formatDuration } from "../../shared/formatDuration";
import classes from "./AddVoice.module.css";
import type { SelectedFile } from "./DropFile";
import { RecordingPreview } from "./RecordingPreview";
import { useVoiceRecorder } from "./useVoiceRecorder";

interface Props {
  /** To be read aloud. */
  text: string;
  selected: SelectedFile | null;
  onSelect: (selected: SelectedFile | null) => void;
}

/** Records the user reading a text aloud. */
export function RecordVoice({ text, selected, onSelect }: Props) {
  const labels = useTranslations().clonedVoices;
  const voiceRecorder = useVoiceRecorder((file) => onSelect({ file, name: "recording.wav" }));
  const meter = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    if (voiceRecorder.state !== "recording") return undefined;
    let frame = 0;
    const draw = () => {
      meter.current?.style.setProperty("--level", voiceRecorder.level().toFixed(3));
      frame = requestAnimationFrame(draw);
    };
    frame = requestAnimationFrame(draw);
    return () => cancelAnimationFrame(frame);
  }, [voiceRecorder]);
  const recording = voiceRecorder.state === "recording";
  return (
    <div className={classes.record}>
      <p>{labels.aloud}</p>
      <blockquote className={classes.aloud}>{text}</blockquote>
      <small>{labels.recordHint}</small>
      {recording && (
        <p className={classes.recording} role="status">
          <span className={classes.meter} ref={meter} aria-hidden="true">
            <i />
          </span>
          {labels.recording} <time>{formatDuration(voiceRecorder.seconds)}</time>
        </p>
      )}
      {selected && !recording && <RecordingPreview sound={selected.file} />}
      {recording ? (
        <Button size="sm" leftSection={<IconPlayerStopFilled size={16} />} onClick={voiceRecorder.stop}>
          {labels.stop}
        </Button>
      ) : (
        <Button
          size="sm"
          variant={selected ? "default" : "light"}
          leftSection={<IconMicrophone size={16} />}
          loading={voiceRecorder.state === "opening"}
          onClick={() => {
            onSelect(null);
            void voiceRecorder.start();
          }}
        >
          {selected ? labels.again : labels.start}
        </Button>
      )}
      {voiceRecorder.state === "failed" && (
        <p className={classes.error} role="alert">
          {labels.noMicrophone}
        </p>
      )}
    </div>
  );
}
