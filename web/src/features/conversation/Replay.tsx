import { ActionIcon, SegmentedControl } from "@mantine/core";
import { IconPlayerPauseFilled, IconPlayerPlayFilled } from "@tabler/icons-react";
import { useEffect, useRef, useState } from "react";
import WaveSurfer from "wavesurfer.js";

import { Refused } from "../../api/http";
import { getSound } from "../../api/rest";
import { client } from "../../app/client";
import { useWords } from "../../i18n";
import { clock } from "./clock";
import classes from "./Replay.module.css";

declare const __WAVEFORM_HEIGHT__: number;

interface Props {
  audio: string;
  /** The beautiful rendering, where there is one. */
  hq: string | null;
}

/** An utterance as it was recorded, with its waveform; a reply in its beautiful rendering, if it has one. */
export default function Replay({ audio, hq }: Props) {
  const words = useWords();
  const [tier, setTier] = useState<"fast" | "hq">("hq");
  const shown = hq !== null && tier === "hq" ? hq : audio;
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
    let gone = false;
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
    getSound(shown).then(
      (blob) => (gone ? undefined : surfer.loadBlob(blob)),
      (error: unknown) => {
        if (gone) return;
        if (error instanceof Refused && error.status === 404) client.dispatch({ type: "local.gone", audio: shown });
        else setState("failed");
      },
    );
    return () => {
      gone = true;
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
        aria-label={playing ? words.line.pause : words.line.replay}
        onClick={() => void wave.current?.playPause()}
      >
        {playing ? <IconPlayerPauseFilled size={16} /> : <IconPlayerPlayFilled size={16} />}
      </ActionIcon>
      <div className={classes.wave} ref={place} />
      {hq !== null && (
        <SegmentedControl
          size="xs"
          radius="xl"
          aria-label={words.tiers.choose}
          value={tier}
          onChange={(value) => setTier(value as "fast" | "hq")}
          data={[
            { value: "fast", label: words.tiers.fast },
            { value: "hq", label: words.tiers.hq },
          ]}
        />
      )}
      <span className={classes.time}>{`${clock(at)} / ${clock(length)}`}</span>
      {state === "failed" && <p role="alert">{words.line.noSound}</p>}
    </div>
  );
}
