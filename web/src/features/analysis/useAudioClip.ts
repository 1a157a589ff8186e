import { useEffect, useRef, useState } from "react";

import { getBlob, HttpError } from "../../api/http";
import { outputContext } from "../../realtime/audioContext";
import { client } from "../../shared/client";
import { wavePeaks } from "./chartScales";

/** Peaks that are computed: more than a screen has columns for. */
const MAX_COLUMNS = 1_200;

export interface AudioClip {
  state: "loading" | "ready" | "failed";
  seconds: number;
  peaks: readonly number[];
  playing: boolean;
  /** Seconds from its beginning. */
  at: number;
  toggle: () => void;
  seek: (seconds: number) => void;
}

interface LoadedClip {
  url: string;
  seconds: number;
  peaks: number[];
}

/** Load a recording for drawing and playback. */
export function useAudioClip(audio: string): AudioClip {
  const [loaded, setLoaded] = useState<LoadedClip | "failed" | null>(null);
  const [playing, setPlaying] = useState(false);
  const [at, setAt] = useState(0);
  const element = useRef<HTMLAudioElement | null>(null);

  useEffect(() => {
    let cancelled = false;
    let url = "";
    void load(audio).then(
      (found) => {
        url = found.url;
        if (cancelled) URL.revokeObjectURL(url);
        else setLoaded(found);
      },
      (error: unknown) => {
        if (cancelled) return;
        setLoaded("failed");
        if (error instanceof HttpError && error.status === 404) client.dispatch({ type: "local.gone", audio });
      },
    );
    return () => {
      cancelled = true;
      element.current?.pause();
      element.current = null;
      if (url) URL.revokeObjectURL(url);
      setLoaded(null);
      setPlaying(false);
      setAt(0);
    };
  }, [audio]);

  useEffect(() => {
    if (!playing) return undefined;
    let frame = 0;
    const follow = () => {
      setAt(element.current?.currentTime ?? 0);
      frame = requestAnimationFrame(follow);
    };
    frame = requestAnimationFrame(follow);
    return () => cancelAnimationFrame(frame);
  }, [playing]);

  const known = loaded === "failed" ? null : loaded;
  const player = () => {
    if (element.current || !known) return element.current;
    const audioElement = new Audio(known.url);
    audioElement.onplay = () => setPlaying(true);
    audioElement.onpause = () => setPlaying(false);
    audioElement.onended = () => {
      setPlaying(false);
      setAt(0);
    };
    element.current = audioElement;
    return audioElement;
  };
  return {
    state: loaded === null ? "loading" : known ? "ready" : "failed",
    seconds: known?.seconds ?? 0,
    peaks: known?.peaks ?? [],
    playing,
    at,
    toggle: () => {
      const sound = player();
      if (!sound) return;
      if (playing) sound.pause();
      else void sound.play().catch(() => setPlaying(false));
    },
    seek: (seconds) => {
      const sound = player();
      if (!sound || !known) return;
      const wanted = Math.min(known.seconds, Math.max(0, seconds));
      sound.currentTime = wanted;
      setAt(wanted);
    },
  };
}

async function load(audio: string): Promise<LoadedClip> {
  const blob = await getBlob(audio);
  const buffer = await outputContext().decodeAudioData(await blob.arrayBuffer());
  return { url: URL.createObjectURL(blob), seconds: buffer.duration, peaks: wavePeaks(buffer.getChannelData(0), MAX_COLUMNS) };
}
