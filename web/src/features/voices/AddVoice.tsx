import { ActionIcon, Button, Checkbox, Progress, SegmentedControl, TextInput } from "@mantine/core";
import { IconArrowLeft } from "@tabler/icons-react";
import { useEffect, useLayoutEffect, useRef, useState, type FormEvent } from "react";

import {
  addVoice,
  getEnrolmentTexts,
  ReferenceRefusedError,
  type EnrolmentCheck,
  type EnrolmentTexts,
  type Voice,
} from "../../api/voices";
import { useTranslations } from "../../i18n";
import { usePreferences } from "../../shared/preferences";
import classes from "./AddVoice.module.css";
import { DropFile, type SelectedFile } from "./DropFile";
import { EnrolmentChecks } from "./EnrolmentChecks";
import { formatPercent } from "./formatProgress";
import { RecordVoice } from "./RecordVoice";

type SubmitState =
  | { kind: "no" }
  | { kind: "sending"; share: number }
  | { kind: "refused"; message: string; checks: EnrolmentCheck[] };

interface Props {
  onAdded: (voice: Voice) => void;
  onBack: () => void;
}

/** Form for adding a voice: recording, name and consent. */
export default function AddVoice({ onAdded, onBack }: Props) {
  const t = useTranslations();
  const labels = t.clonedVoices;
  const { locale } = usePreferences();
  const [source, setSource] = useState("upload");
  const [selected, setSelected] = useState<SelectedFile | null>(null);
  const [name, setName] = useState("");
  const [speaker, setSpeaker] = useState("");
  const [agreed, setAgreed] = useState(false);
  const [state, setState] = useState<SubmitState>({ kind: "no" });
  const abortController = useRef<AbortController | null>(null);
  const refusal = useRef<HTMLDivElement>(null);
  const title = useRef<HTMLHeadingElement>(null);
  useLayoutEffect(() => title.current?.focus(), []); // before the user can move the focus
  useEffect(() => () => abortController.current?.abort(), []);
  useEffect(() => {
    if (state.kind === "refused") refusal.current?.scrollIntoView({ block: "nearest" });
  }, [state.kind]);

  const [texts, setTexts] = useState<EnrolmentTexts | null>(null);
  useEffect(() => {
    getEnrolmentTexts().then(setTexts, (error: unknown) => {
      setState({ kind: "refused", message: error instanceof Error ? error.message : "", checks: [] });
    });
  }, []);

  const language = locale === "en" ? "en" : "zh";
  const statement = texts?.consent[language] ?? "";
  const complete = statement !== "" && selected !== null && name.trim() !== "" && speaker.trim() !== "" && agreed;
  const sending = state.kind === "sending";
  const select = (next: SelectedFile | null) => {
    setSelected(next);
    setState({ kind: "no" });
  };
  const send = async (event: FormEvent) => {
    event.preventDefault();
    if (!selected || !complete || sending) return;
    setState({ kind: "sending", share: 0 });
    abortController.current = new AbortController();
    const { signal } = abortController.current;
    const newVoice = { file: selected.file, fileName: selected.name, name: name.trim(), speaker: speaker.trim(), statement };
    try {
      onAdded(await addVoice(newVoice, (share) => setState({ kind: "sending", share }), signal));
    } catch (error) {
      if (signal.aborted) return;
      const checks = error instanceof ReferenceRefusedError ? error.checks : [];
      setState({ kind: "refused", message: error instanceof Error ? error.message : labels.sendFailed, checks });
    }
  };
  return (
    <form className={classes.form} onSubmit={(event) => void send(event)}>
      <div className={classes.head}>
        <ActionIcon variant="subtle" color="gray" size={32} aria-label={labels.back} onClick={onBack}>
          <IconArrowLeft size={18} stroke={1.7} />
        </ActionIcon>
        <h3 tabIndex={-1} ref={title}>
          {labels.addTitle}
        </h3>
      </div>
      <SegmentedControl
        fullWidth
        aria-label={labels.source}
        value={source}
        disabled={sending}
        onChange={(next) => {
          setSource(next);
          select(null);
        }}
        data={[
          { value: "upload", label: labels.upload },
          { value: "record", label: labels.record },
        ]}
      />
      {source === "upload" ? (
        <DropFile selected={selected} onSelect={select} />
      ) : (
        <RecordVoice text={texts?.read_aloud[language] ?? ""} selected={selected} onSelect={select} />
      )}
      <TextInput
        required
        label={labels.name}
        placeholder={labels.namePlaceholder}
        maxLength={80}
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
      />
      <fieldset className={classes.consent}>
        <legend>{labels.consent}</legend>
        <TextInput
          required
          label={labels.speaker}
          placeholder={labels.speakerPlaceholder}
          maxLength={120}
          value={speaker}
          onChange={(event) => setSpeaker(event.currentTarget.value)}
        />
        <blockquote aria-label={labels.statement}>{statement}</blockquote>
        <Checkbox label={labels.agree} checked={agreed} onChange={(event) => setAgreed(event.currentTarget.checked)} />
      </fieldset>
      {sending && (
        <div className={classes.sending} role="status">
          <Progress
            value={state.share * 100}
            animated={state.share >= 1}
            striped={state.share >= 1}
            aria-label={labels.uploading(formatPercent(state.share))}
          />
          <small>{state.share < 1 ? labels.uploading(formatPercent(state.share)) : labels.checking}</small>
        </div>
      )}
      {state.kind === "refused" && (
        <div className={classes.refused} role="alert" ref={refusal}>
          <p>
            <strong>{state.checks.length > 0 ? labels.refusedTitle : labels.sendFailed}</strong>
          </p>
          <p>{state.message}</p>
          <EnrolmentChecks checks={state.checks} />
        </div>
      )}
      <div className={classes.buttons}>
        <Button type="submit" disabled={!complete} loading={sending}>
          {labels.send}
        </Button>
      </div>
    </form>
  );
}
