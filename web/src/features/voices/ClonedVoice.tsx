import { ActionIcon, Badge, Collapse, Loader, Radio } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconChevronDown } from "@tabler/icons-react";

import type { Cloned, LearningEnvironment, Voice } from "../../api/voices";
import { useWords } from "../../i18n";
import type { OwnVoiceWords } from "../../i18n/own-voice";
import { ClonedDetails } from "./ClonedDetails";
import classes from "./ClonedVoice.module.css";
import { PlayButton } from "./PlayButton";
import type { Sample } from "./useSample";
import list from "./Voices.module.css";

interface Props {
  voice: Voice;
  chosen: boolean;
  sample: Sample;
  environment: LearningEnvironment | null;
  /** It is to be looked at again. */
  onChanged: () => void;
  onDeleted: () => void;
}

/** A cloned voice in the list: to be chosen and heard, and opened for all the rest. */
export function ClonedVoice({ voice, chosen, sample, environment, onChanged, onDeleted }: Props) {
  const words = useWords();
  const { cloned } = voice;
  const [open, setOpen] = useDisclosure(cloned?.state !== "ready");
  if (!cloned) return null;
  if (!voice.mine) return <OthersVoice voice={voice} cloned={cloned} chosen={chosen} sample={sample} />;
  return (
    <li className={classes.voice} data-voice={voice.id} data-state={cloned.state}>
      <div className={list.row} data-chosen={chosen || undefined}>
        <Radio value={voice.id} label={voice.name} disabled={cloned.state !== "ready"} className={list.radio} />
        <State cloned={cloned} words={words.own} />
        <PlayButton
          sample={sample}
          id={voice.id}
          audio={voice.sample}
          label={words.voices.sample(voice.name)}
          stop={words.voices.stopSample}
        />
        <ActionIcon
          variant="subtle"
          color="gray"
          size={32}
          className={classes.more}
          aria-label={words.own.details(voice.name)}
          aria-expanded={open}
          onClick={setOpen.toggle}
        >
          <IconChevronDown size={18} stroke={1.7} />
        </ActionIcon>
      </div>
      <Collapse expanded={open}>
        <ClonedDetails voice={voice} cloned={cloned} sample={sample} environment={environment} onChanged={onChanged} onDeleted={onDeleted} />
      </Collapse>
    </li>
  );
}

/** One that somebody else shares: to be chosen and heard, and nothing else. */
function OthersVoice({ voice, cloned, chosen, sample }: Pick<Props, "voice" | "chosen" | "sample"> & { cloned: Cloned }) {
  const words = useWords();
  return (
    <li className={classes.voice} data-voice={voice.id} data-state={cloned.state} data-others>
      <div className={list.row} data-chosen={chosen || undefined}>
        <Radio
          value={voice.id}
          label={voice.name}
          description={words.own.others}
          disabled={cloned.state !== "ready"}
          className={list.radio}
        />
        <State cloned={cloned} words={words.own} />
        <PlayButton
          sample={sample}
          id={voice.id}
          audio={voice.sample}
          label={words.voices.sample(voice.name)}
          stop={words.voices.stopSample}
        />
      </div>
    </li>
  );
}

function State({ cloned, words }: { cloned: Cloned; words: OwnVoiceWords }) {
  if (cloned.state === "preparing") {
    return (
      <span className={classes.preparing} role="status">
        <Loader size={12} /> {words.preparing}
      </span>
    );
  }
  if (cloned.state === "failed") return <Badge color="red.9" variant="outline" className={classes.failed}>{words.preparingFailed}</Badge>;
  const done = cloned.label === "cloned";
  return (
    <Badge variant={done ? "filled" : "light"} className={classes.label} data-label={cloned.label}>
      {done ? words.cloned : words.similar}
    </Badge>
  );
}
