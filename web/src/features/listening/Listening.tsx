import { Button, Loader, SegmentedControl, TextInput } from "@mantine/core";
import { useCallback, useEffect, useRef, useState } from "react";

import { getResults, type Choice, type PairKind, type Results as Found } from "../../api/listening";
import { listVoices } from "../../api/voices";
import { SidePage } from "../../app/SidePage";
import { useWords } from "../../i18n";
import { nameOf } from "../voices/names";
import { Clips } from "./Clips";
import classes from "./Listening.module.css";
import { Results } from "./Results";
import { useTrial, type TrialState } from "./useTrial";

const LONGEST_REMARK = 500;

/** Blind listening: two renderings of the same words, and which is better. */
export default function Listening() {
  const words = useWords();
  const [kind, setKind] = useState<PairKind | null>(null);
  const { results, look } = useResults();
  const trial = useTrial(kind, look);
  const called = useNames();
  const { state } = trial;
  const shown = "trial" in state ? state.trial.kind : kind;
  return (
    <SidePage title={words.listen.title} back={words.listen.back} intro={words.listen.intro}>
      <SegmentedControl
        aria-label={words.listen.kind}
        value={shown ?? "tiers"}
        onChange={(value) => setKind(value as PairKind)}
        data={[
          { value: "tiers", label: words.listen.tiers },
          { value: "voices", label: words.listen.voices },
        ]}
      />
      {trial.replaced && <p role="status">{words.listen.gone}</p>}
      <OneTrial key={"trial" in state ? state.trial.id : state.kind} state={state} called={called} trial={trial} />
      <Results results={results} called={called} onForgotten={look} />
    </SidePage>
  );
}

interface TrialProps {
  state: TrialState;
  called: (one: string) => string;
  trial: ReturnType<typeof useTrial>;
}

function OneTrial({ state, called, trial }: TrialProps) {
  const words = useWords();
  const listen = words.listen;
  if (state.kind === "loading") {
    return (
      <p role="status" className={classes.soft}>
        <Loader size="xs" type="dots" /> {listen.loading}
      </p>
    );
  }
  if (!("trial" in state)) {
    const told = state.kind === "nothing" ? listen.nothing : listen.failed;
    return (
      <div className={classes.card} role="alert">
        <p>{told}</p>
        <Button variant="default" size="xs" onClick={trial.next}>
          {words.retry}
        </Button>
      </div>
    );
  }
  const { judgement } = state.kind === "judged" ? state : { judgement: null };
  return (
    <section className={classes.card} data-trial={state.kind} aria-label={listen.title}>
      <p className={classes.soft}>{listen.text}</p>
      <blockquote>{state.trial.text}</blockquote>
      <Clips a={state.a} b={state.b} />
      {judgement ? (
        <div role="status" className={classes.reveal}>
          <p>
            <strong>{judgement.preferred === null ? listen.revealSame : listen.reveal(called(judgement.preferred))}</strong>
          </p>
          <p className={classes.soft}>{listen.was(called(judgement.a), called(judgement.b))}</p>
          <Button onClick={trial.next} data-autofocus>
            {listen.next}
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
  const listen = useWords().listen;
  const [remark, setRemark] = useState("");
  const [sending, setSending] = useState(false);
  const choose = (choice: Choice) => {
    setSending(true);
    void onChoose(choice, remark.trim()).finally(() => setSending(false));
  };
  return (
    <>
      <h2>{listen.better}</h2>
      <div className={classes.choices}>
        <Button variant="light" disabled={sending} onClick={() => choose("a")}>
          {listen.preferA}
        </Button>
        <Button variant="default" disabled={sending} onClick={() => choose("same")}>
          {listen.same}
        </Button>
        <Button variant="light" disabled={sending} onClick={() => choose("b")}>
          {listen.preferB}
        </Button>
      </div>
      <TextInput
        label={listen.remark}
        placeholder={listen.remarkPlaceholder}
        maxLength={LONGEST_REMARK}
        value={remark}
        onChange={(event) => setRemark(event.currentTarget.value)}
        className={classes.remark}
      />
      <Button variant="subtle" size="xs" disabled={sending} onClick={onSkip}>
        {listen.skip}
      </Button>
    </>
  );
}

/** What tiers and voices are called for people. */
function useNames(): (one: string) => string {
  const { tiers } = useWords();
  const [names, setNames] = useState<ReadonlyMap<string, string>>(new Map());
  useEffect(() => {
    listVoices().then(
      (found) => setNames(new Map(found.map(({ id, name, cloned }) => [id, cloned ? name : nameOf(name).name]))),
      () => undefined, // then their ids have to do
    );
  }, []);
  return useCallback(
    (one) => (one === "hq" ? tiers.hq : one === "fast" ? tiers.fast : (names.get(one) ?? one)),
    [names, tiers],
  );
}

function useResults() {
  const [results, setResults] = useState<Found | null>(null);
  const gone = useRef(false);
  const look = useCallback(() => {
    getResults().then(
      (found) => (gone.current ? undefined : setResults(found)),
      () => undefined, // the next judgement asks again
    );
  }, []);
  useEffect(() => {
    gone.current = false;
    look();
    return () => void (gone.current = true);
  }, [look]);
  return { results, look };
}
