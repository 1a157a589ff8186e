import { Button, Loader, Progress, TextInput } from "@mantine/core";
import { useState } from "react";

import { LABELS_CSV, type RatingProgress } from "../../api/analysis";
import { getBlob } from "../../api/http";
import { useTranslations } from "../../i18n";
import { enLabelling, zhLabelling, type LabellingTranslations } from "../../i18n/labelling";
import { setPreferences, usePreferences } from "../../shared/preferences";
import { saveFile } from "../../shared/saveFile";
import { SecondaryPage } from "../../shared/SecondaryPage";
import { ClipPlayer } from "./ClipPlayer";
import classes from "./Labelling.module.css";
import { RatingScales } from "./RatingScales";
import { useRating } from "./useRating";

const MAX_NAME_LENGTH = 64;

/** Page on which people rate utterances, to calibrate the scores. */
export default function Labelling() {
  const { locale, rater } = usePreferences();
  const t = locale === "en" ? enLabelling : zhLabelling;
  const [naming, setNaming] = useState(rater === "");
  return (
    <SecondaryPage title={t.title} back={t.back} intro={t.intro}>
      {naming ? (
        <RaterNameForm rater={rater} t={t} onNamed={() => setNaming(false)} />
      ) : (
        <RatingPanel key={rater} rater={rater} t={t} onRename={() => setNaming(true)} />
      )}
    </SecondaryPage>
  );
}

function RaterNameForm({ rater, t, onNamed }: { rater: string; t: LabellingTranslations; onNamed: () => void }) {
  const [name, setName] = useState(rater);
  return (
    <form
      className={classes.card}
      onSubmit={(event) => {
        event.preventDefault();
        setPreferences({ rater: name.trim() });
        onNamed();
      }}
    >
      <TextInput
        className={classes.name}
        type="text"
        label={t.rater}
        description={t.raterHint}
        maxLength={MAX_NAME_LENGTH}
        autoFocus
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
      />
      <Button type="submit" disabled={name.trim() === ""}>
        {t.begin}
      </Button>
    </form>
  );
}

function RatingPanel({ rater, t, onRename }: { rater: string; t: LabellingTranslations; onRename: () => void }) {
  const { retry } = useTranslations();
  const { state, progress, skipped, submit, skip, restart } = useRating(rater);
  const done = state.kind === "nothing" && progress !== null && progress.total > 0;
  return (
    <>
      {progress !== null && progress.total > 0 && <RatingProgressBar progress={progress} t={t} />}
      <section className={classes.card} data-round={state.kind} aria-label={t.title}>
        {state.kind === "loading" && (
          <p role="status" className={classes.soft}>
            <Loader size="xs" type="dots" /> {t.loading}
          </p>
        )}
        {state.kind === "nothing" && <p role="status">{done ? t.done : t.nothing}</p>}
        {state.kind === "failed" && <p role="alert">{t.failed}</p>}
        {state.kind === "open" && (
          <>
            <p className={classes.soft}>{t.said}</p>
            <blockquote>{state.clip.transcript || t.noWords}</blockquote>
            {state.sound === null ? <p role="alert">{t.noSound}</p> : <ClipPlayer sound={state.sound} t={t} />}
            <RatingScales key={state.clip.id} t={t} onRate={submit} onSkip={skip} />
          </>
        )}
        {state.kind !== "loading" && state.kind !== "open" && (
          <Button variant="default" size="xs" onClick={restart}>
            {skipped > 0 ? t.again : retry}
          </Button>
        )}
      </section>
      <p className={classes.keys}>{t.keys}</p>
      <div className={classes.foot}>
        <span className={classes.soft}>{t.as(rater)}</span>
        <Button variant="subtle" size="xs" onClick={onRename}>
          {t.changeRater}
        </Button>
        <DownloadRatings t={t} />
      </div>
    </>
  );
}

function RatingProgressBar({ progress, t }: { progress: RatingProgress; t: LabellingTranslations }) {
  const label = t.progress(String(progress.rated), String(progress.total));
  return (
    <div className={classes.progress}>
      <Progress value={(progress.rated / progress.total) * 100} aria-label={label} />
      <span className={classes.soft} aria-hidden="true">
        {label}
      </span>
    </div>
  );
}

function DownloadRatings({ t }: { t: LabellingTranslations }) {
  const [failed, setFailed] = useState(false);
  return (
    <>
      <Button
        variant="default"
        size="xs"
        onClick={() => {
          setFailed(false);
          getBlob(LABELS_CSV).then(
            (file) => saveFile(file, "labels.csv"),
            () => setFailed(true),
          );
        }}
      >
        {t.download}
      </Button>
      {failed && <span role="alert">{t.failed}</span>}
    </>
  );
}
