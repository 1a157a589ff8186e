import { Button, Modal, Textarea, TextInput } from "@mantine/core";
import { IconPencil, IconTrash } from "@tabler/icons-react";
import { useEffect, useState, type FormEvent } from "react";

import { changeVoice, deleteVoice, type Cloned, type Voice } from "../../api/voices";
import { useWords } from "../../i18n";
import { Checks } from "./Checks";
import classes from "./ClonedVoice.module.css";
import { LearningView } from "./LearningView";
import { PlayButton } from "./PlayButton";
import type { Sample } from "./useSample";

interface Props {
  voice: Voice;
  cloned: Cloned;
  sample: Sample;
  onChanged: () => void;
  onDeleted: () => void;
}

/** All that is known of a cloned voice, and all that can be done with it. */
export function ClonedDetails({ voice, cloned, sample, onChanged, onDeleted }: Props) {
  const words = useWords();
  const own = words.own;
  const [asking, setAsking] = useState<"rename" | "delete" | null>(null);
  const [failed, setFailed] = useState(false);
  const attempt = (work: Promise<void>, then: () => void) => {
    setFailed(false);
    work.then(then, () => setFailed(true));
  };
  const close = () => setAsking(null);
  const preparing = cloned.state === "preparing";
  const stage = own.stages[cloned.stage as keyof typeof own.stages] ?? own.preparing;
  const modal = { onClose: close, centered: true, lockScroll: false, closeButtonProps: { "aria-label": words.close } };
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
      {cloned.state === "ready" && <LearningView id={voice.id} learning={cloned.learning} attempt={attempt} onChanged={onChanged} />}
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
      <Modal opened={asking === "rename"} title={own.rename} {...modal}>
        <Rename
          name={voice.name}
          onRename={(name) => {
            close();
            attempt(changeVoice(voice.id, { name }), onChanged);
          }}
        />
      </Modal>
      <Modal opened={asking === "delete"} title={own.deleteTitle} {...modal}>
        <p className={classes.body}>{own.deleteBody(voice.name)}</p>
        <div className={classes.buttons}>
          <Button variant="default" onClick={close} data-autofocus>
            {words.cancel}
          </Button>
          <Button
            color="red.9"
            onClick={() => {
              close();
              attempt(deleteVoice(voice.id), onDeleted);
            }}
          >
            {own.delete}
          </Button>
        </div>
      </Modal>
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

function Rename({ name, onRename }: { name: string; onRename: (name: string) => void }) {
  const words = useWords();
  const [given, setGiven] = useState(name);
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        onRename(given.trim());
      }}
    >
      <TextInput
        data-autofocus
        label={words.own.name}
        maxLength={80}
        value={given}
        onChange={(event) => setGiven(event.currentTarget.value)}
      />
      <div className={classes.buttons}>
        <Button type="submit" disabled={given.trim() === ""}>
          {words.save}
        </Button>
      </div>
    </form>
  );
}

function day(at: string): string {
  const when = new Date(at);
  return Number.isNaN(when.getTime()) ? "" : when.toLocaleDateString(document.documentElement.lang);
}
