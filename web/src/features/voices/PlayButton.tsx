import { ActionIcon } from "@mantine/core";
import { IconPlayerPlayFilled, IconPlayerStopFilled } from "@tabler/icons-react";

import type { Sample } from "./useSample";

interface Props {
  sample: Sample;
  /** Tells the sounds of the page apart. */
  id: string;
  /** Null: there is nothing to be heard yet. */
  audio: string | null;
  label: string;
  stop: string;
}

/** Plays one sound, or stops it. */
export function PlayButton({ sample, id, audio, label, stop }: Props) {
  const playing = sample.playing === id;
  return (
    <ActionIcon
      variant="light"
      radius="xl"
      size={32}
      loading={sample.loading === id}
      disabled={audio === null}
      aria-label={playing ? stop : label}
      onClick={() => audio !== null && sample.toggle(id, audio)}
    >
      {playing ? <IconPlayerStopFilled size={14} /> : <IconPlayerPlayFilled size={14} />}
    </ActionIcon>
  );
}
