import { ActionIcon } from "@mantine/core";
import { useElementSize } from "@mantine/hooks";
import { IconPlayerPauseFilled, IconPlayerPlayFilled } from "@tabler/icons-react";
import { memo, useId, useMemo, useRef, type KeyboardEvent, type PointerEvent } from "react";

import type { Contours } from "../../api/analysis";
import type { AnalysisTranslations } from "../../i18n/analysis";
import { formatDuration } from "../../shared/formatDuration";
import { pitchPath, pitchPosition, pitchScale, pitchTicks, wavePath, wavePeaks } from "./chartScales";
import classes from "./Contour.module.css";
import { useAudioClip } from "./useAudioClip";

const HEIGHT = 124;
/** Width of the pitch labels. */
const LEFT = 34;
const BAR = 3;
const STEP_S = 0.5;
/** A pause narrower than this has no label. */
const MIN_LABELLED_WIDTH = 38;

interface Props {
  audio: string;
  contours: Contours;
  t: AnalysisTranslations;
}

/** The recording with its waveform, pauses and pitch, playable from any position. */
export function Contour({ audio, contours, t }: Props) {
  const clip = useAudioClip(audio);
  const { ref, width: room } = useElementSize();
  const id = useId();
  const width = Math.max(0, Math.floor(room) - LEFT);
  const contourSeconds = (contours.f0_hz.length * contours.frame_ms) / 1000;
  const seconds = clip.seconds || contourSeconds;
  const bars = useMemo(() => wavePeaks(clip.peaks, Math.max(1, Math.floor(width / BAR))), [clip.peaks, width]);
  const wave = useMemo(() => wavePath(clip.peaks.length > 0 ? bars : [], width, HEIGHT), [bars, clip.peaks, width]);
  const place = seconds > 0 ? (clip.at / seconds) * width : 0;
  return (
    <section className={classes.contour} aria-label={t.drawing} data-clip={clip.state}>
      <div className={classes.row}>
        <ActionIcon
          radius="xl"
          size={34}
          variant="light"
          loading={clip.state === "loading"}
          disabled={clip.state === "failed"}
          aria-label={clip.playing ? t.pause : t.play}
          onClick={clip.toggle}
        >
          {clip.playing ? <IconPlayerPauseFilled size={16} /> : <IconPlayerPlayFilled size={16} />}
        </ActionIcon>
        <div className={classes.plot} ref={ref}>
          {width > 0 && seconds > 0 && (
            <svg width={width + LEFT} height={HEIGHT} aria-hidden="true" focusable="false">
              <clipPath id={id}>
                <rect x={LEFT} width={place} height={HEIGHT} />
              </clipPath>
              <g transform={`translate(${LEFT} 0)`}>
                <rect className={classes.ground} width={width} height={HEIGHT} rx={8} />
                <Pauses contours={contours} width={width} seconds={seconds} t={t} />
                <path className={classes.wave} d={wave} />
              </g>
              <g clipPath={`url(#${id})`}>
                <path className={classes.played} d={wave} transform={`translate(${LEFT} 0)`} />
              </g>
              <Pitch contours={contours} width={width} seconds={seconds} />
              {place > 0 && <line className={classes.cursor} x1={LEFT + place} x2={LEFT + place} y1={0} y2={HEIGHT} />}
            </svg>
          )}
          {clip.state === "ready" && <Slider clip={clip} t={t} />}
        </div>
      </div>
      <p className={classes.legend}>
        {contours.f0_hz.some((hz) => hz > 0) && (
          <span aria-hidden="true">
            <i data-of="pitch" /> {t.pitch}
          </span>
        )}
        {contours.pauses.length > 0 && (
          <span aria-hidden="true">
            <i data-of="pause" /> {t.pauses}
          </span>
        )}
        <span aria-hidden="true">
          <i data-of="wave" /> {t.loudness}
        </span>
        <span className={classes.time}>{`${formatDuration(clip.at)} / ${formatDuration(seconds)}`}</span>
      </p>
      {clip.state === "failed" && <p role="alert">{t.noSound}</p>}
    </section>
  );
}

interface LayerProps {
  contours: Contours;
  width: number;
  seconds: number;
}

const Pauses = memo(function Pauses({ contours, width, seconds, t }: LayerProps & { t: AnalysisTranslations }) {
  const x = (ms: number) => Math.min(width, (ms / 1000 / seconds) * width);
  const unit = t.features["pause_mean_s"]?.unit ?? "s";
  return contours.pauses.map(([start, end]) => {
    const broad = x(end) - x(start);
    return (
      <g key={start} data-pause>
        <rect className={classes.pause} x={x(start)} width={Math.max(1, broad)} height={HEIGHT} />
        {broad >= MIN_LABELLED_WIDTH && (
          <text className={classes.pauseText} x={x(start) + broad / 2} y={HEIGHT - 8}>
            {`${((end - start) / 1000).toFixed(1)} ${unit}`}
          </text>
        )}
      </g>
    );
  });
});

const Pitch = memo(function Pitch({ contours, width, seconds }: LayerProps) {
  const { f0_hz, frame_ms } = contours;
  const scale = useMemo(() => pitchScale(f0_hz), [f0_hz]);
  const path = useMemo(
    () => (scale ? pitchPath(f0_hz, (seconds * 1000) / frame_ms / width, scale, HEIGHT) : ""),
    [f0_hz, frame_ms, scale, seconds, width],
  );
  if (!scale) return null;
  return (
    <>
      {pitchTicks(scale).map((hz) => {
        const y = (1 - pitchPosition(hz, scale)) * HEIGHT;
        return (
          <g key={hz} data-tick={hz}>
            <line className={classes.grid} x1={LEFT} x2={LEFT + width} y1={y} y2={y} />
            <text className={classes.hz} x={LEFT - 6} y={y + 4}>
              {hz}
            </text>
          </g>
        );
      })}
      <g transform={`translate(${LEFT} 0)`}>
        <path className={classes.halo} d={path} />
        <path className={classes.pitch} d={path} data-pitch />
      </g>
    </>
  );
});

/** Playback position, for pointer and keyboard. */
function Slider({ clip, t }: { clip: ReturnType<typeof useAudioClip>; t: AnalysisTranslations }) {
  const held = useRef(false);
  const jump = (event: PointerEvent<HTMLDivElement>) => {
    const box = event.currentTarget.getBoundingClientRect();
    clip.seek(((event.clientX - box.left) / box.width) * clip.seconds);
  };
  const key = (event: KeyboardEvent) => {
    const moves: Record<string, number> = {
      ArrowRight: clip.at + STEP_S,
      ArrowUp: clip.at + STEP_S,
      ArrowLeft: clip.at - STEP_S,
      ArrowDown: clip.at - STEP_S,
      Home: 0,
      End: clip.seconds,
    };
    const to = moves[event.key];
    if (to === undefined && event.key !== " ") return;
    event.preventDefault();
    if (to === undefined) clip.toggle();
    else clip.seek(to);
  };
  return (
    <div
      className={classes.slider}
      role="slider"
      tabIndex={0}
      aria-label={t.position}
      aria-valuemin={0}
      aria-valuemax={Math.round(clip.seconds * 10) / 10}
      aria-valuenow={Math.round(clip.at * 10) / 10}
      aria-valuetext={t.place(formatDuration(clip.at), formatDuration(clip.seconds))}
      onKeyDown={key}
      onPointerDown={(event) => {
        held.current = true;
        event.currentTarget.setPointerCapture(event.pointerId);
        jump(event);
      }}
      onPointerMove={(event) => held.current && jump(event)}
      onPointerUp={() => (held.current = false)}
      onPointerCancel={() => (held.current = false)}
    />
  );
}
