import { ActionIcon, SegmentedControl } from "@mantine/core";
import { IconPlayerPauseFilled, IconPlayerPlayFilled } from "@tabler/icons-react";
import { useEffect, useRef, useState } from "react";
import WaveSurfer from "wavesurfer.js";

import { getBlob, HttpError } from "../../api/http";
import { useTranslations } from "../../i18n";
import { client } from "../../shared/client";
import { formatDuration } from "../../shared/formatDuration";
import classes from "./Replay.module.css";

declare const __WAVEFORM_HEIGHT__: number;

interface Props {
  audio: string;
  /** Address of the HQ rendering; null: there is none. */
  hq: string | null;
}

/** Plays a recorded message with its waveform; a reply in its HQ rendering, if it has one. */
export default function Replay({ audio, hq }: Props) {
  const t = useTranslations();
  const [quality, setQuality] = useState<"fast" | "hq">("hq");
  const shown = hq !== null && quality === "hq" ? hq : audio;
  const place = useRef<HTMLDivElement>(null);
  const wave = useRef<WaveSurfer | null>(null);
  const [state, setState] = useState<"loading" | "ready" | "failed">("loading");
  const [playing, setPlaying] = useState(false);
  const [at, setAt] = useState(0);
  const [length, setLength] = useState(0);

  useEffect(() => {
    if (!place.current) return undefined;
    const style = getComputedStyle(place.current);
    const surfer = WaveSurfer.create({
      container: place.current,
      height: __WAVEFORM_HEIGHT__,
      waveColor: style.getPropertyValue("--km-soft").trim(),
      progressColor: style.getPropertyValue("--km-accent").trim(),
      cursorWidth: 0,
      barWidth: 2,
      barGap: 2,
      barRadius: 2,
      normalize: true,
    });
    wave.current = surfer;
    let cancelled = false;
    setState("loading");
    setAt(0);
    surfer.on("ready", (seconds) => {
      setLength(seconds);
      setState("ready");
      void surfer.play().catch(() => undefined);
    });
    surfer.on("timeupdate", setAt);
    surfer.on("play", () => setPlaying(true));
    surfer.on("pause", () => setPlaying(false));
    surfer.on("finish", () => setPlaying(false));
    surfer.on("error", () => setState("failed"));
    getBlob(shown).then(
      (blob) => (cancelled ? undefined : surfer.loadBlob(blob)),
      (error: unknown) => {
        if (cancelled) return;
        if (error instanceof HttpError && error.status === 404) client.dispatch({ type: "local.gone", audio: shown });
        else setState("failed");
      },
    );
    return () => {
      cancelled = true;
      surfer.destroy();
    };
  }, [shown]);

  return (
    <div className={classes.replay} data-state={state}>
      <ActionIcon
        radius="xl"
        size={34}
        variant="light"
        loading={state === "loading"}
        disabled={state === "failed"}
        aria-label={playing ? t.message.pause : t.message.replay}
        onClick={() => void wave.current?.playPause()}
      >
        {playing ? <IconPlayerPauseFilled size={16} /> : <IconPlayerPlayFilled size={16} />}
      </ActionIcon>
      <div className={classes.wave} ref={place} />
      {hq !== null && (
        <SegmentedControl
          size="xs"
          radius="xl"
          aria-label={t.quality.choose}
          value={quality}
          onChange={(value) => setQuality(value as "fast" | "hq")}
          data={[
            { value: "fast", label: t.quality.fast },
            { value: "hq", label: t.quality.hq },
          ]}
        />
      )}
      <span className={classes.time}>{`${formatDuration(at)} / ${formatDuration(length)}`}</span>
      {state === "failed" && <p role="alert">{t.message.noSound}</p>}
    </div>
  );
}
