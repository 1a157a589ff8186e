import { Button } from "@mantine/core";
import { IconPlayerPlayFilled, IconPlayerStopFilled } from "@tabler/icons-react";
import { useCallback, useEffect, useRef, useState } from "react";

import type { LabellingTranslations } from "../../i18n/labelling";

/** Plays a clip from its beginning; also by the space bar. */
export function ClipPlayer({ sound, t }: { sound: string; t: LabellingTranslations }) {
  const element = useRef<HTMLAudioElement | null>(null);
  const [playing, setPlaying] = useState(false);
  useEffect(() => {
    const audio = new Audio(sound);
    audio.onplay = () => setPlaying(true);
    audio.onpause = () => setPlaying(false);
    audio.onended = () => setPlaying(false);
    element.current = audio;
    // Browsers allow autoplay after a user gesture on this page.
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
      if (event.code !== "Space" || isPressable(event.target)) return;
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
      {playing ? t.stop : t.play}
    </Button>
  );
}

/** True if the space bar has a meaning of its own for the element. */
function isPressable(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest("button, a, input[type=text]") !== null;
}
