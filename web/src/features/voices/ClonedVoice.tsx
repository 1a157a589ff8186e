import { ActionIcon, Badge, Collapse, Loader, Radio } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconChevronDown } from "@tabler/icons-react";

import type { ClonedVoiceInfo, TrainingEnvironment, Voice } from "../../api/voices";
import { useTranslations } from "../../i18n";
import type { ClonedVoiceTranslations } from "../../i18n/voices";
import classes from "./ClonedVoice.module.css";
import { ClonedVoiceDetails } from "./ClonedVoiceDetails";
import { PlayButton } from "./PlayButton";
import type { VoicePreview } from "./useVoicePreview";
import list from "./Voices.module.css";

interface Props {
  voice: Voice;
  chosen: boolean;
  preview: VoicePreview;
  environment: TrainingEnvironment | null;
  /** The voice has changed and is to be fetched again. */
  onChanged: () => void;
  onDeleted: () => void;
}

/** A cloned voice in the list: can be selected and played; opens its details. */
export function ClonedVoice({ voice, chosen, preview, environment, onChanged, onDeleted }: Props) {
  const t = useTranslations();
  const { cloned } = voice;
  const [open, setOpen] = useDisclosure(cloned?.state !== "ready");
  if (!cloned) return null;
  if (!voice.mine) return <SharedVoice voice={voice} cloned={cloned} chosen={chosen} preview={preview} />;
  return (
    <li className={classes.voice} data-voice={voice.id} data-state={cloned.state}>
      <div className={list.row} data-chosen={chosen || undefined}>
        <Radio value={voice.id} label={voice.name} disabled={cloned.state !== "ready"} className={list.radio} />
        <CloneState cloned={cloned} t={t.clonedVoices} />
        <PlayButton
          preview={preview}
          id={voice.id}
          audio={voice.sample}
          label={t.voices.sample(voice.name)}
          stop={t.voices.stopSample}
        />
        <ActionIcon
          variant="subtle"
          color="gray"
          size={32}
          className={classes.more}
          aria-label={t.clonedVoices.details(voice.name)}
          aria-expanded={open}
          onClick={setOpen.toggle}
        >
          <IconChevronDown size={18} stroke={1.7} />
        </ActionIcon>
      </div>
      <Collapse expanded={open}>
        <ClonedVoiceDetails
          voice={voice}
          cloned={cloned}
          preview={preview}
          environment={environment}
          onChanged={onChanged}
          onDeleted={onDeleted}
        />
      </Collapse>
    </li>
  );
}

/** A voice shared by another user: can only be selected and played. */
function SharedVoice({ voice, cloned, chosen, preview }: Pick<Props, "voice" | "chosen" | "preview"> & { cloned: ClonedVoiceInfo }) {
  const t = useTranslations();
  return (
    <li className={classes.voice} data-voice={voice.id} data-state={cloned.state} data-others>
      <div className={list.row} data-chosen={chosen || undefined}>
        <Radio
          value={voice.id}
          label={voice.name}
          description={t.clonedVoices.others}
          disabled={cloned.state !== "ready"}
          className={list.radio}
        />
        <CloneState cloned={cloned} t={t.clonedVoices} />
        <PlayButton
          preview={preview}
          id={voice.id}
          audio={voice.sample}
          label={t.voices.sample(voice.name)}
          stop={t.voices.stopSample}
        />
      </div>
    </li>
  );
}

function CloneState({ cloned, t }: { cloned: ClonedVoiceInfo; t: ClonedVoiceTranslations }) {
  if (cloned.state === "preparing") {
    return (
      <span className={classes.preparing} role="status">
        <Loader size={12} /> {t.preparing}
      </span>
    );
  }
  if (cloned.state === "failed") return <Badge color="red.9" variant="outline" className={classes.failed}>{t.preparingFailed}</Badge>;
  const done = cloned.label === "cloned";
  return (
    <Badge variant={done ? "filled" : "light"} className={classes.label} data-label={cloned.label}>
      {done ? t.cloned : t.similar}
    </Badge>
  );
}
