import { Button } from "@mantine/core";
import { IconPlayerPlayFilled, IconPlayerStopFilled } from "@tabler/icons-react";
import { useCallback, useEffect, useRef, useState } from "react";

import type { LabelWords } from "../../i18n/label";

/** Plays a clip from its beginning, as often as one likes; by the space bar, too. */
export function Player({ sound, words }: { sound: string; words: LabelWords }) {
  const element = useRef<HTMLAudioElement | null>(null);
  const [playing, setPlaying] = useState(false);
  useEffect(() => {
    const audio = new Audio(sound);
    audio.onplay = () => setPlaying(true);
    audio.onpause = () => setPlaying(false);
    audio.onended = () => setPlaying(false);
    element.current = audio;
    // Browsers let it sound by itself once somebody has pressed something here.
    void audio.play().catch(() => undefined);
    return () => audio.pause();
  }, [sound]);
  const toggle = useCallback(() => {
    const audio = element.current;
    if (!audio) return;
    if (audio.paused) {
      audio.currentTime = 0;
      void audio.play().catch(() => undefined);
    } else {
      audio.pause();
    }
  }, []);
  useEffect(() => {
    const down = (event: KeyboardEvent) => {
      if (event.code !== "Space" || pressable(event.target)) return;
      event.preventDefault();
      toggle();
    };
    window.addEventListener("keydown", down);
    return () => window.removeEventListener("keydown", down);
  }, [toggle]);
  return (
    <Button
      size="md"
      radius="xl"
      variant={playing ? "filled" : "light"}
      leftSection={playing ? <IconPlayerStopFilled size={18} /> : <IconPlayerPlayFilled size={18} />}
      onClick={toggle}
    >
      {playing ? words.stop : words.play}
    </Button>
  );
}

/** The space bar means something of its own there. */
function pressable(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest("button, a, input[type=text]") !== null;
}
