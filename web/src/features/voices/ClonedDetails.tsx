import { Button, Switch, Textarea } from "@mantine/core";
import { IconPencil, IconTrash } from "@tabler/icons-react";
import { useEffect, useState, type FormEvent } from "react";

import { changeVoice, deleteVoice, type Cloned, type LearningEnvironment, type Voice } from "../../api/voices";
import { Confirm } from "../../app/Confirm";
import { Rename } from "../../app/Rename";
import { useWords } from "../../i18n";
import { Checks } from "./Checks";
import classes from "./ClonedVoice.module.css";
import { LearningView } from "./LearningView";
import { PlayButton } from "./PlayButton";
import type { Sample } from "./useSample";

const LONGEST_NAME = 80;

interface Props {
  voice: Voice;
  cloned: Cloned;
  sample: Sample;
  environment: LearningEnvironment | null;
  onChanged: () => void;
  onDeleted: () => void;
}

/** All that is known of a cloned voice, and all that can be done with it. */
export function ClonedDetails({ voice, cloned, sample, environment, onChanged, onDeleted }: Props) {
  const { own } = useWords();
  const [asking, setAsking] = useState<"rename" | "delete" | null>(null);
  const [failed, setFailed] = useState(false);
  const attempt = (work: Promise<void>, then: () => void) => {
    setFailed(false);
    work.then(then, () => setFailed(true));
  };
  const close = () => setAsking(null);
  const preparing = cloned.state === "preparing";
  const stage = own.stages[cloned.stage as keyof typeof own.stages] ?? own.preparing;
  return (
    <div className={classes.details}>
      {preparing && <p role="status">{stage}…</p>}
      {cloned.state === "failed" && (
        <p className={classes.error} role="alert">
          {cloned.error ?? own.preparingFailed}
        </p>
      )}
      {cloned.state === "ready" && (
        <p className={classes.soft}>{cloned.label === "cloned" ? own.clonedNote : own.similarNote}</p>
      )}
      {cloned.state === "ready" && (
        <LearningView
          id={voice.id}
          learning={cloned.learning}
          environment={environment}
          attempt={attempt}
          onChanged={onChanged}
        />
      )}
      <div className={classes.reference}>
        <PlayButton
          sample={sample}
          id={`${voice.id}/reference`}
          audio={cloned.reference}
          label={own.hearReference}
          stop={own.stopReference}
        />
        <span>
          {own.hearReference} <small>{own.seconds(cloned.durationS.toFixed(1))}</small>
        </span>
      </div>
      {!preparing && (
        <Transcript
          text={cloned.transcript}
          onSave={(transcript) => attempt(changeVoice(voice.id, { transcript }), onChanged)}
        />
      )}
      <Checks checks={cloned.checks} />
      <Switch
        label={own.share}
        description={own.shareHint}
        checked={voice.shared}
        onChange={(event) => attempt(changeVoice(voice.id, { shared: event.currentTarget.checked }), onChanged)}
      />
      <p className={classes.soft} title={cloned.consent.statement}>
        {own.agreed(cloned.consent.speaker)} <time dateTime={cloned.consent.at}>{day(cloned.consent.at)}</time>
      </p>
      {failed && (
        <p className={classes.error} role="alert">
          {own.actionFailed}
        </p>
      )}
      <div className={classes.actions}>
        <Button variant="default" size="xs" leftSection={<IconPencil size={15} />} onClick={() => setAsking("rename")}>
          {own.rename}
        </Button>
        <Button variant="default" size="xs" leftSection={<IconTrash size={15} />} onClick={() => setAsking("delete")}>
          {own.delete}
        </Button>
      </div>
      <Rename
        opened={asking === "rename"}
        title={own.rename}
        label={own.name}
        name={voice.name}
        longest={LONGEST_NAME}
        onRename={(name) => attempt(changeVoice(voice.id, { name }), onChanged)}
        onClose={close}
      />
      <Confirm
        opened={asking === "delete"}
        title={own.deleteTitle}
        body={own.deleteBody(voice.name)}
        action={own.delete}
        onConfirm={() => attempt(deleteVoice(voice.id), onDeleted)}
        onClose={close}
      />
    </div>
  );
}

function Transcript({ text, onSave }: { text: string; onSave: (text: string) => void }) {
  const words = useWords();
  const [given, setGiven] = useState(text);
  useEffect(() => setGiven(text), [text]); // it comes from the recogniser, a while after the voice
  const save = (event: FormEvent) => {
    event.preventDefault();
    onSave(given.trim());
  };
  return (
    <form onSubmit={save}>
      <Textarea
        label={words.own.transcript}
        description={words.own.transcriptNote}
        autosize
        minRows={1}
        maxRows={6}
        maxLength={2_000}
        value={given}
        onChange={(event) => setGiven(event.currentTarget.value)}
      />
      {given.trim() !== text && given.trim() !== "" && (
        <div className={classes.buttons}>
          <Button type="submit" size="xs">
            {words.save}
          </Button>
        </div>
      )}
    </form>
  );
}

function day(at: string): string {
  const when = new Date(at);
  return Number.isNaN(when.getTime()) ? "" : when.toLocaleDateString(document.documentElement.lang);
}
