import { Button, Switch, Textarea } from "@mantine/core";
import { IconPencil, IconTrash } from "@tabler/icons-react";
import { useEffect, useState, type FormEvent } from "react";

import { changeVoice, deleteVoice, type ClonedVoiceInfo, type TrainingEnvironment, type Voice } from "../../api/voices";
import { useTranslations } from "../../i18n";
import { ConfirmDialog } from "../../shared/ConfirmDialog";
import { RenameDialog } from "../../shared/RenameDialog";
import classes from "./ClonedVoice.module.css";
import { EnrolmentChecks } from "./EnrolmentChecks";
import { PlayButton } from "./PlayButton";
import { TrainingView } from "./TrainingView";
import type { VoicePreview } from "./useVoicePreview";

const MAX_NAME_LENGTH = 80;

interface Props {
  voice: Voice;
  cloned: ClonedVoiceInfo;
  preview: VoicePreview;
  environment: TrainingEnvironment | null;
  onChanged: () => void;
  onDeleted: () => void;
}

/** Details and actions of a cloned voice. */
export function ClonedVoiceDetails({ voice, cloned, preview, environment, onChanged, onDeleted }: Props) {
  const { clonedVoices: labels } = useTranslations();
  const [asking, setAsking] = useState<"rename" | "delete" | null>(null);
  const [failed, setFailed] = useState(false);
  const attempt = (work: Promise<void>, then: () => void) => {
    setFailed(false);
    work.then(then, () => setFailed(true));
  };
  const close = () => setAsking(null);
  const preparing = cloned.state === "preparing";
  const stage = labels.stages[cloned.stage as keyof typeof labels.stages] ?? labels.preparing;
  return (
    <div className={classes.details}>
      {preparing && <p role="status">{stage}…</p>}
      {cloned.state === "failed" && (
        <p className={classes.error} role="alert">
          {cloned.error ?? labels.preparingFailed}
        </p>
      )}
      {cloned.state === "ready" && (
        <p className={classes.soft}>{cloned.label === "cloned" ? labels.clonedNote : labels.similarNote}</p>
      )}
      {cloned.state === "ready" && (
        <TrainingView
          id={voice.id}
          training={cloned.training}
          environment={environment}
          attempt={attempt}
          onChanged={onChanged}
        />
      )}
      <div className={classes.reference}>
        <PlayButton
          preview={preview}
          id={`${voice.id}/reference`}
          audio={cloned.reference}
          label={labels.hearReference}
          stop={labels.stopReference}
        />
        <span>
          {labels.hearReference} <small>{labels.seconds(cloned.durationS.toFixed(1))}</small>
        </span>
      </div>
      {!preparing && (
        <TranscriptForm
          text={cloned.transcript}
          onSave={(transcript) => attempt(changeVoice(voice.id, { transcript }), onChanged)}
        />
      )}
      <EnrolmentChecks checks={cloned.checks} />
      <Switch
        label={labels.share}
        description={labels.shareHint}
        checked={voice.shared}
        onChange={(event) => attempt(changeVoice(voice.id, { shared: event.currentTarget.checked }), onChanged)}
      />
      <p className={classes.soft} title={cloned.consent.statement}>
        {labels.agreed(cloned.consent.speaker)} <time dateTime={cloned.consent.at}>{formatDate(cloned.consent.at)}</time>
      </p>
      {failed && (
        <p className={classes.error} role="alert">
          {labels.actionFailed}
        </p>
      )}
      <div className={classes.actions}>
        <Button variant="default" size="xs" leftSection={<IconPencil size={15} />} onClick={() => setAsking("rename")}>
          {labels.rename}
        </Button>
        <Button variant="default" size="xs" leftSection={<IconTrash size={15} />} onClick={() => setAsking("delete")}>
          {labels.delete}
        </Button>
      </div>
      <RenameDialog
        opened={asking === "rename"}
        title={labels.rename}
        label={labels.name}
        name={voice.name}
        maxLength={MAX_NAME_LENGTH}
        onRename={(name) => attempt(changeVoice(voice.id, { name }), onChanged)}
        onClose={close}
      />
      <ConfirmDialog
        opened={asking === "delete"}
        title={labels.deleteTitle}
        body={labels.deleteBody(voice.name)}
        action={labels.delete}
        onConfirm={() => attempt(deleteVoice(voice.id), onDeleted)}
        onClose={close}
      />
    </div>
  );
}

function TranscriptForm({ text, onSave }: { text: string; onSave: (text: string) => void }) {
  const t = useTranslations();
  const [draft, setDraft] = useState(text);
  useEffect(() => setDraft(text), [text]); // the recognised transcript arrives after the voice
  const save = (event: FormEvent) => {
    event.preventDefault();
    onSave(draft.trim());
  };
  return (
    <form onSubmit={save}>
      <Textarea
        label={t.clonedVoices.transcript}
        description={t.clonedVoices.transcriptNote}
        autosize
        minRows={1}
        maxRows={6}
        maxLength={2_000}
        value={draft}
        onChange={(event) => setDraft(event.currentTarget.value)}
      />
      {draft.trim() !== text && draft.trim() !== "" && (
        <div className={classes.buttons}>
          <Button type="submit" size="xs">
            {t.save}
          </Button>
        </div>
      )}
    </form>
  );
}

function formatDate(at: string): string {
  const when = new Date(at);
  return Number.isNaN(when.getTime()) ? "" : when.toLocaleDateString(document.documentElement.lang);
}
