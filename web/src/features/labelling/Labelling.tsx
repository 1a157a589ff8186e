import { Button, Loader, Progress, TextInput } from "@mantine/core";
import { useState } from "react";

import { LABELS_CSV, type RatingProgress } from "../../api/analysis";
import { getSound } from "../../api/rest";
import { prefer, usePreferences } from "../../app/preferences";
import { SidePage } from "../../app/SidePage";
import { useWords } from "../../i18n";
import { enLabel, zhLabel, type LabelWords } from "../../i18n/label";
import { save } from "../sessions/exporting";
import classes from "./Labelling.module.css";
import { Player } from "./Player";
import { Scales } from "./Scales";
import { useRating } from "./useRating";

const LONGEST_NAME = 64;

/** People rate how others speak: what the scores are calibrated by. */
export default function Labelling() {
  const { locale, rater } = usePreferences();
  const words = locale === "en" ? enLabel : zhLabel;
  const [naming, setNaming] = useState(rater === "");
  return (
    <SidePage title={words.title} back={words.back} intro={words.intro}>
      {naming ? (
        <Name rater={rater} words={words} onNamed={() => setNaming(false)} />
      ) : (
        <Round key={rater} rater={rater} words={words} onRename={() => setNaming(true)} />
      )}
    </SidePage>
  );
}

function Name({ rater, words, onNamed }: { rater: string; words: LabelWords; onNamed: () => void }) {
  const [name, setName] = useState(rater);
  return (
    <form
      className={classes.card}
      onSubmit={(event) => {
        event.preventDefault();
        prefer({ rater: name.trim() });
        onNamed();
      }}
    >
      <TextInput
        className={classes.name}
        type="text"
        label={words.rater}
        description={words.raterHint}
        maxLength={LONGEST_NAME}
        autoFocus
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
      />
      <Button type="submit" disabled={name.trim() === ""}>
        {words.begin}
      </Button>
    </form>
  );
}

function Round({ rater, words, onRename }: { rater: string; words: LabelWords; onRename: () => void }) {
  const { retry } = useWords();
  const { state, progress, skipped, give, skip, again } = useRating(rater);
  const done = state.kind === "nothing" && progress !== null && progress.total > 0;
  return (
    <>
      {progress !== null && progress.total > 0 && <HowFar progress={progress} words={words} />}
      <section className={classes.card} data-round={state.kind} aria-label={words.title}>
        {state.kind === "loading" && (
          <p role="status" className={classes.soft}>
            <Loader size="xs" type="dots" /> {words.loading}
          </p>
        )}
        {state.kind === "nothing" && <p role="status">{done ? words.done : words.nothing}</p>}
        {state.kind === "failed" && <p role="alert">{words.failed}</p>}
        {state.kind === "open" && (
          <>
            <p className={classes.soft}>{words.said}</p>
            <blockquote>{state.clip.transcript || words.noWords}</blockquote>
            {state.sound === null ? <p role="alert">{words.noSound}</p> : <Player sound={state.sound} words={words} />}
            <Scales key={state.clip.id} words={words} onRate={give} onSkip={skip} />
          </>
        )}
        {state.kind !== "loading" && state.kind !== "open" && (
          <Button variant="default" size="xs" onClick={again}>
            {skipped > 0 ? words.again : retry}
          </Button>
        )}
      </section>
      <p className={classes.keys}>{words.keys}</p>
      <div className={classes.foot}>
        <span className={classes.soft}>{words.as(rater)}</span>
        <Button variant="subtle" size="xs" onClick={onRename}>
          {words.changeRater}
        </Button>
        <Download words={words} />
      </div>
    </>
  );
}

function HowFar({ progress, words }: { progress: RatingProgress; words: LabelWords }) {
  const told = words.progress(String(progress.rated), String(progress.total));
  return (
    <div className={classes.progress}>
      <Progress value={(progress.rated / progress.total) * 100} aria-label={told} />
      <span className={classes.soft} aria-hidden="true">
        {told}
      </span>
    </div>
  );
}

function Download({ words }: { words: LabelWords }) {
  const [failed, setFailed] = useState(false);
  return (
    <>
      <Button
        variant="default"
        size="xs"
        onClick={() => {
          setFailed(false);
          getSound(LABELS_CSV).then(
            (file) => save(file, "labels.csv"),
            () => setFailed(true),
          );
        }}
      >
        {words.download}
      </Button>
      {failed && <span role="alert">{words.failed}</span>}
    </>
  );
}
