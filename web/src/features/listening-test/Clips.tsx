import { Button } from "@mantine/core";
import { IconPlayerPlayFilled, IconPlayerStopFilled } from "@tabler/icons-react";
import { useEffect, useRef, useState } from "react";

import { useTranslations } from "../../i18n";
import classes from "./ListeningTest.module.css";

/** Plays the two clips, one at a time. */
export function Clips({ a, b }: { a: string; b: string }) {
  const labels = useTranslations().listeningTest;
  const [playing, setPlaying] = useState<"A" | "B" | null>(null);
  const element = useRef<HTMLAudioElement | null>(null);
  const stop = () => {
    element.current?.pause();
    setPlaying(null);
  };
  useEffect(() => () => element.current?.pause(), []);
  const toggle = (which: "A" | "B") => {
    const again = playing === which;
    stop();
    if (again) return;
    const audio = new Audio(which === "A" ? a : b);
    element.current = audio;
    audio.onended = () => setPlaying((now) => (element.current === audio ? null : now));
    void audio.play().then(
      () => setPlaying(which),
      () => setPlaying(null),
    );
  };
  return (
    <div className={classes.clips}>
      {(["A", "B"] as const).map((which) => (
        <Button
          key={which}
          size="lg"
          variant={playing === which ? "filled" : "default"}
          leftSection={playing === which ? <IconPlayerStopFilled size={18} /> : <IconPlayerPlayFilled size={18} />}
          aria-label={playing === which ? labels.stop(which) : labels.play(which)}
          onClick={() => toggle(which)}
        >
          {which}
        </Button>
      ))}
    </div>
  );
}
