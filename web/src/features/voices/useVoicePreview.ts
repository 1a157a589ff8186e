import { useEffect, useRef, useState } from "react";

import { getBlob } from "../../api/http";

export interface VoicePreview {
  /** Keys that were given to `toggle`. */
  playing: string | null;
  loading: string | null;
  failed: boolean;
  toggle: (key: string, audio: string) => void;
}

/** Plays voice samples, one at a time. */
export function useVoicePreview(): VoicePreview {
  const element = useRef<HTMLAudioElement | null>(null);
  const url = useRef("");
  const latestRequest = useRef(0);
  const [playing, setPlaying] = useState<string | null>(null);
  const [loading, setLoading] = useState<string | null>(null);
  const [failed, setFailed] = useState(false);

  const stop = () => {
    latestRequest.current += 1;
    element.current?.pause();
    URL.revokeObjectURL(url.current);
    setPlaying(null);
    setLoading(null);
  };
  useEffect(() => () => {
    latestRequest.current += 1;
    element.current?.pause();
    URL.revokeObjectURL(url.current);
  }, []);

  const play = async (key: string, from: string) => {
    stop();
    setFailed(false);
    const request = latestRequest.current;
    setLoading(key);
    try {
      const blob = await getBlob(from);
      if (request !== latestRequest.current) return;
      url.current = URL.createObjectURL(blob);
      const audio = new Audio(url.current);
      element.current = audio;
      audio.onended = stop;
      await audio.play();
      setPlaying(key);
    } catch {
      if (request === latestRequest.current) setFailed(true);
    } finally {
      if (request === latestRequest.current) setLoading(null);
    }
  };
  return { playing, loading, failed, toggle: (key, from) => (playing === key ? stop() : void play(key, from)) };
}
