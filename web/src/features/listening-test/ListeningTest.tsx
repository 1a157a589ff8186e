import { Button, Loader, SegmentedControl, TextInput } from "@mantine/core";
import { useCallback, useEffect, useRef, useState } from "react";

import { getListeningResults, type Choice, type ListeningResults, type PairKind } from "../../api/listeningTests";
import { listVoices } from "../../api/voices";
import { useTranslations } from "../../i18n";
import { SecondaryPage } from "../../shared/SecondaryPage";
import { parseVoiceName } from "../voices/voiceName";
import { Clips } from "./Clips";
import classes from "./ListeningTest.module.css";
import { Results } from "./Results";
import { useTrial, type TrialState } from "./useTrial";

const MAX_REMARK_LENGTH = 500;

/** Blind A/B listening test: two renderings of the same text, and which is better. */
export default function ListeningTest() {
  const t = useTranslations();
  const [kind, setKind] = useState<PairKind | null>(null);
  const { results, refresh } = useResults();
  const trial = useTrial(kind, refresh);
  const labelOf = useLabels();
  const { state } = trial;
  const shown = "trial" in state ? state.trial.kind : kind;
  return (
    <SecondaryPage title={t.listeningTest.title} back={t.listeningTest.back} intro={t.listeningTest.intro}>
      <SegmentedControl
        aria-label={t.listeningTest.kind}
        value={shown ?? "tiers"}
        onChange={(value) => setKind(value as PairKind)}
        data={[
          { value: "tiers", label: t.listeningTest.tiers },
          { value: "voices", label: t.listeningTest.voices },
        ]}
      />
      {trial.replaced && <p role="status">{t.listeningTest.gone}</p>}
      <TrialCard key={"trial" in state ? state.trial.id : state.kind} state={state} labelOf={labelOf} trial={trial} />
      <Results results={results} labelOf={labelOf} onForgotten={refresh} />
    </SecondaryPage>
  );
}

interface TrialCardProps {
  state: TrialState;
  labelOf: (one: string) => string;
  trial: ReturnType<typeof useTrial>;
}

function TrialCard({ state, labelOf, trial }: TrialCardProps) {
  const t = useTranslations();
  const labels = t.listeningTest;
  if (state.kind === "loading") {
    return (
      <p role="status" className={classes.soft}>
        <Loader size="xs" type="dots" /> {labels.loading}
      </p>
    );
  }
  if (!("trial" in state)) {
    const message = state.kind === "nothing" ? labels.nothing : labels.failed;
    return (
      <div className={classes.card} role="alert">
        <p>{message}</p>
        <Button variant="default" size="xs" onClick={trial.next}>
          {t.retry}
        </Button>
      </div>
    );
  }
  const { judgement } = state.kind === "judged" ? state : { judgement: null };
  return (
    <section className={classes.card} data-trial={state.kind} aria-label={labels.title}>
      <p className={classes.soft}>{labels.text}</p>
      <blockquote>{state.trial.text}</blockquote>
      <Clips a={state.a} b={state.b} />
      {judgement ? (
        <div role="status" className={classes.reveal}>
          <p>
            <strong>{judgement.preferred === null ? labels.revealSame : labels.reveal(labelOf(judgement.preferred))}</strong>
          </p>
          <p className={classes.soft}>{labels.was(labelOf(judgement.a), labelOf(judgement.b))}</p>
          <Button onClick={trial.next} data-autofocus>
            {labels.next}
          </Button>
        </div>
      ) : (
        <Question onChoose={trial.choose} onSkip={trial.next} />
      )}
    </section>
  );
}

interface QuestionProps {
  onChoose: (choice: Choice, remark: string) => Promise<void>;
  onSkip: () => void;
}

function Question({ onChoose, onSkip }: QuestionProps) {
  const labels = useTranslations().listeningTest;
  const [remark, setRemark] = useState("");
  const [sending, setSending] = useState(false);
  const choose = (choice: Choice) => {
    setSending(true);
    void onChoose(choice, remark.trim()).finally(() => setSending(false));
  };
  return (
    <>
      <h2>{labels.better}</h2>
      <div className={classes.choices}>
        <Button variant="light" disabled={sending} onClick={() => choose("a")}>
          {labels.preferA}
        </Button>
        <Button variant="default" disabled={sending} onClick={() => choose("same")}>
          {labels.same}
        </Button>
        <Button variant="light" disabled={sending} onClick={() => choose("b")}>
          {labels.preferB}
        </Button>
      </div>
      <TextInput
        label={labels.remark}
        placeholder={labels.remarkPlaceholder}
        maxLength={MAX_REMARK_LENGTH}
        value={remark}
        onChange={(event) => setRemark(event.currentTarget.value)}
        className={classes.remark}
      />
      <Button variant="subtle" size="xs" disabled={sending} onClick={onSkip}>
        {labels.skip}
      </Button>
    </>
  );
}

/** Display names of renderings and voices. */
function useLabels(): (one: string) => string {
  const { quality } = useTranslations();
  const [names, setNames] = useState<ReadonlyMap<string, string>>(new Map());
  useEffect(() => {
    listVoices().then(
      (found) => setNames(new Map(found.map(({ id, name, cloned }) => [id, cloned ? name : parseVoiceName(name).name]))),
      () => undefined, // then their ids are shown
    );
  }, []);
  return useCallback(
    (one) => (one === "hq" ? quality.hq : one === "fast" ? quality.fast : (names.get(one) ?? one)),
    [names, quality],
  );
}

function useResults() {
  const [results, setResults] = useState<ListeningResults | null>(null);
  const unmounted = useRef(false);
  const refresh = useCallback(() => {
    getListeningResults().then(
      (found) => (unmounted.current ? undefined : setResults(found)),
      () => undefined, // fetched again after the next choice
    );
  }, []);
  useEffect(() => {
    unmounted.current = false;
    refresh();
    return () => void (unmounted.current = true);
  }, [refresh]);
  return { results, refresh };
}
