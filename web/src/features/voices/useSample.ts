import { useEffect, useRef, useState } from "react";

import { getSound } from "../../api/rest";

export interface Sample {
  /** By the keys given to `toggle`. */
  playing: string | null;
  loading: string | null;
  failed: boolean;
  toggle: (key: string, audio: string) => void;
}

/** One sample at a time. */
export function useSample(): Sample {
  const element = useRef<HTMLAudioElement | null>(null);
  const url = useRef("");
  const asked = useRef(0);
  const [playing, setPlaying] = useState<string | null>(null);
  const [loading, setLoading] = useState<string | null>(null);
  const [failed, setFailed] = useState(false);

  const stop = () => {
    asked.current += 1;
    element.current?.pause();
    URL.revokeObjectURL(url.current);
    setPlaying(null);
    setLoading(null);
  };
  useEffect(() => () => {
    asked.current += 1;
    element.current?.pause();
    URL.revokeObjectURL(url.current);
  }, []);

  const play = async (key: string, from: string) => {
    stop();
    setFailed(false);
    const mine = asked.current;
    setLoading(key);
    try {
      const blob = await getSound(from);
      if (mine !== asked.current) return;
      url.current = URL.createObjectURL(blob);
      const audio = new Audio(url.current);
      element.current = audio;
      audio.onended = stop;
      await audio.play();
      setPlaying(key);
    } catch {
      if (mine === asked.current) setFailed(true);
    } finally {
      if (mine === asked.current) setLoading(null);
    }
  };
  return { playing, loading, failed, toggle: (key, from) => (playing === key ? stop() : void play(key, from)) };
}
