import { useEffect, useRef, useState } from "react";

import { Refused } from "../../api/http";
import { getSound } from "../../api/rest";
import { client } from "../../app/client";
import { outputContext } from "../../realtime/sound";
import { peaks } from "./drawing";

/** More than a screen has columns for. */
const COLUMNS = 1_200;

export interface Clip {
  state: "loading" | "ready" | "failed";
  seconds: number;
  peaks: readonly number[];
  playing: boolean;
  /** Seconds from its beginning. */
  at: number;
  toggle: () => void;
  seek: (seconds: number) => void;
}

interface Heard {
  url: string;
  seconds: number;
  peaks: number[];
}

/** A recording to be seen and heard. */
export function useClip(audio: string): Clip {
  const [heard, setHeard] = useState<Heard | "failed" | null>(null);
  const [playing, setPlaying] = useState(false);
  const [at, setAt] = useState(0);
  const element = useRef<HTMLAudioElement | null>(null);

  useEffect(() => {
    let gone = false;
    let url = "";
    void load(audio).then(
      (found) => {
        url = found.url;
        if (gone) URL.revokeObjectURL(url);
        else setHeard(found);
      },
      (error: unknown) => {
        if (gone) return;
        setHeard("failed");
        if (error instanceof Refused && error.status === 404) client.dispatch({ type: "local.gone", audio });
      },
    );
    return () => {
      gone = true;
      element.current?.pause();
      element.current = null;
      if (url) URL.revokeObjectURL(url);
      setHeard(null);
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

  const known = heard === "failed" ? null : heard;
  const player = () => {
    if (element.current || !known) return element.current;
    const made = new Audio(known.url);
    made.onplay = () => setPlaying(true);
    made.onpause = () => setPlaying(false);
    made.onended = () => {
      setPlaying(false);
      setAt(0);
    };
    element.current = made;
    return made;
  };
  return {
    state: heard === null ? "loading" : known ? "ready" : "failed",
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

async function load(audio: string): Promise<Heard> {
  const blob = await getSound(audio);
  const buffer = await outputContext().decodeAudioData(await blob.arrayBuffer());
  return { url: URL.createObjectURL(blob), seconds: buffer.duration, peaks: peaks(buffer.getChannelData(0), COLUMNS) };
}
