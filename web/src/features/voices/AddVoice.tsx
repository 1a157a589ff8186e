import { ActionIcon, Button, Checkbox, Progress, SegmentedControl, TextInput } from "@mantine/core";
import { IconArrowLeft } from "@tabler/icons-react";
import { useEffect, useLayoutEffect, useRef, useState, type FormEvent } from "react";

import { addVoice, getTexts, ReferenceRefused, type Check, type Texts, type Voice } from "../../api/voices";
import { usePreferences } from "../../app/preferences";
import { useWords } from "../../i18n";
import classes from "./AddVoice.module.css";
import { Checks } from "./Checks";
import { DropFile, type Chosen } from "./DropFile";
import { percent } from "./learning";
import { RecordVoice } from "./RecordVoice";

type Sending = { kind: "no" } | { kind: "sending"; share: number } | { kind: "refused"; message: string; checks: Check[] };

interface Props {
  onAdded: (voice: Voice) => void;
  onBack: () => void;
}

/** A recording, a name and a consent: what a voice is learned from. */
export default function AddVoice({ onAdded, onBack }: Props) {
  const words = useWords();
  const own = words.own;
  const { locale } = usePreferences();
  const [way, setWay] = useState("upload");
  const [chosen, setChosen] = useState<Chosen | null>(null);
  const [name, setName] = useState("");
  const [speaker, setSpeaker] = useState("");
  const [agreed, setAgreed] = useState(false);
  const [state, setState] = useState<Sending>({ kind: "no" });
  const aborting = useRef<AbortController | null>(null);
  const told = useRef<HTMLDivElement>(null);
  const title = useRef<HTMLHeadingElement>(null);
  useLayoutEffect(() => title.current?.focus(), []); // before anybody can put it elsewhere
  useEffect(() => () => aborting.current?.abort(), []);
  useEffect(() => {
    if (state.kind === "refused") told.current?.scrollIntoView({ block: "nearest" });
  }, [state.kind]);

  const [texts, setTexts] = useState<Texts | null>(null);
  useEffect(() => {
    getTexts().then(setTexts, (error: unknown) => {
      setState({ kind: "refused", message: error instanceof Error ? error.message : "", checks: [] });
    });
  }, []);

  const language = locale === "en" ? "en" : "zh";
  const statement = texts?.consent[language] ?? "";
  const complete = statement !== "" && chosen !== null && name.trim() !== "" && speaker.trim() !== "" && agreed;
  const sending = state.kind === "sending";
  const take = (next: Chosen | null) => {
    setChosen(next);
    setState({ kind: "no" });
  };
  const send = async (event: FormEvent) => {
    event.preventDefault();
    if (!chosen || !complete || sending) return;
    setState({ kind: "sending", share: 0 });
    aborting.current = new AbortController();
    const { signal } = aborting.current;
    const given = { file: chosen.file, fileName: chosen.name, name: name.trim(), speaker: speaker.trim(), statement };
    try {
      onAdded(await addVoice(given, (share) => setState({ kind: "sending", share }), signal));
    } catch (error) {
      if (signal.aborted) return;
      const checks = error instanceof ReferenceRefused ? error.checks : [];
      setState({ kind: "refused", message: error instanceof Error ? error.message : own.sendFailed, checks });
    }
  };
  return (
    <form className={classes.form} onSubmit={(event) => void send(event)}>
      <div className={classes.head}>
        <ActionIcon variant="subtle" color="gray" size={32} aria-label={own.back} onClick={onBack}>
          <IconArrowLeft size={18} stroke={1.7} />
        </ActionIcon>
        <h3 tabIndex={-1} ref={title}>
          {own.addTitle}
        </h3>
      </div>
      <SegmentedControl
        fullWidth
        aria-label={own.source}
        value={way}
        disabled={sending}
        onChange={(next) => {
          setWay(next);
          take(null);
        }}
        data={[
          { value: "upload", label: own.upload },
          { value: "record", label: own.record },
        ]}
      />
      {way === "upload" ? <DropFile chosen={chosen} onChosen={take} /> : <RecordVoice text={texts?.read_aloud[language] ?? ""} chosen={chosen} onChosen={take} />}
      <TextInput
        required
        label={own.name}
        placeholder={own.namePlaceholder}
        maxLength={80}
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
      />
      <fieldset className={classes.consent}>
        <legend>{own.consent}</legend>
        <TextInput
          required
          label={own.speaker}
          placeholder={own.speakerPlaceholder}
          maxLength={120}
          value={speaker}
          onChange={(event) => setSpeaker(event.currentTarget.value)}
        />
        <blockquote aria-label={own.statement}>{statement}</blockquote>
        <Checkbox label={own.agree} checked={agreed} onChange={(event) => setAgreed(event.currentTarget.checked)} />
      </fieldset>
      {sending && (
        <div className={classes.sending} role="status">
          <Progress
            value={state.share * 100}
            animated={state.share >= 1}
            striped={state.share >= 1}
            aria-label={own.uploading(percent(state.share))}
          />
          <small>{state.share < 1 ? own.uploading(percent(state.share)) : own.checking}</small>
        </div>
      )}
      {state.kind === "refused" && (
        <div className={classes.refused} role="alert" ref={told}>
          <p>
            <strong>{state.checks.length > 0 ? own.refusedTitle : own.sendFailed}</strong>
          </p>
          <p>{state.message}</p>
          <Checks checks={state.checks} />
        </div>
      )}
      <div className={classes.buttons}>
        <Button type="submit" disabled={!complete} loading={sending}>
          {own.send}
        </Button>
      </div>
    </form>
  );
}
