import { ActionIcon } from "@mantine/core";
import { IconPlayerPlayFilled, IconPlayerStopFilled } from "@tabler/icons-react";

import type { VoicePreview } from "./useVoicePreview";

interface Props {
  preview: VoicePreview;
  /** Unique among the sounds of the page. */
  id: string;
  /** Null: there is no audio yet. */
  audio: string | null;
  label: string;
  stop: string;
}

/** Plays one sound, or stops it. */
export function PlayButton({ preview, id, audio, label, stop }: Props) {
  const playing = preview.playing === id;
  return (
    <ActionIcon
      variant="light"
      radius="xl"
      size={32}
      loading={preview.loading === id}
      disabled={audio === null}
      aria-label={playing ? stop : label}
      onClick={() => audio !== null && preview.toggle(id, audio)}
    >
      {playing ? <IconPlayerStopFilled size={14} /> : <IconPlayerPlayFilled size={14} />}
    </ActionIcon>
  );
}
