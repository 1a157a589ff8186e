import { Button, Loader } from "@mantine/core";
import { IconChartLine } from "@tabler/icons-react";
import { lazy, Suspense, useEffect, useRef, useState } from "react";

import { SCORES, type Analysis } from "../../api/analysis";
import { useClient } from "../../app/client";
import type { AnalysisWords } from "../../i18n/analysis";
import { Contour } from "./Contour";
import { Features } from "./Features";
import { Gauge } from "./Gauge";
import classes from "./Panel.module.css";
import { longest } from "./telling";
import { useAnalysis } from "./useAnalysis";
import { Why } from "./Why";
import { useAnalysisWords } from "./words";

const Trends = lazy(() => import("./Trends"));

const ABOVE_PX = 120;
/** The two lengths are known of anything; alone they say nothing. */
const LENGTHS = 2;

interface Props {
  utterance: string;
  audio: string;
}

/** How an utterance was spoken: scores, why, and where in the recording that can be seen. */
export default function Panel({ utterance, audio }: Props) {
  const words = useAnalysisWords();
  const { analysis, failed } = useAnalysis(utterance);
  const place = useRef<HTMLElement>(null);
  const there = analysis !== null;
  useEffect(() => {
    const list = place.current?.closest("[role=region]");
    if (!there || !place.current || !list) return;
    // Taller than what it opens in: its beginning is to be seen, with the words above it.
    list.scrollTop += place.current.getBoundingClientRect().top - list.getBoundingClientRect().top - ABOVE_PX;
  }, [there]);
  return (
    <section ref={place} className={classes.panel} aria-label={words.title} data-panel={analysis?.state ?? "loading"}>
      {analysis === null ? (
        failed ? <p role="alert">{words.failed}</p> : <Loader size="xs" type="dots" />
      ) : (
        <Found analysis={analysis} audio={audio} words={words} />
      )}
    </section>
  );
}

interface FoundProps {
  analysis: Analysis;
  audio: string;
  words: AnalysisWords;
}

function Found({ analysis, audio, words }: FoundProps) {
  const { scores, contours, reason } = analysis;
  if (analysis.state === "waiting") {
    return (
      <p role="status" className={classes.waiting}>
        <Loader size="xs" type="dots" /> {words.waiting}
      </p>
    );
  }
  return (
    <>
      {scores && <Scores scores={scores} words={words} />}
      {!scores && reason && <p className={classes.reason}>{words.reasons[reason] ?? reason}</p>}
      {contours && <Contour audio={audio} contours={contours} words={words} />}
      {Object.keys(analysis.features).length > LENGTHS && <Features analysis={analysis} words={words} />}
      <div className={classes.foot}>
        {scores && <TrendsButton words={words} />}
        <p>
          {scores && <span>{words.caution}</span>}{" "}
          {analysis.extractor && <span>{words.version(analysis.extractor, analysis.head ?? "–")}</span>}
        </p>
      </div>
    </>
  );
}

function Scores({ scores, words }: { scores: NonNullable<Analysis["scores"]>; words: AnalysisWords }) {
  const most = longest(scores);
  return (
    <div className={classes.scores}>
      {SCORES.map((score) => (
        <div key={score} className={classes.score}>
          <Gauge score={score} of={scores[score]} words={words} />
          <Why score={score} of={scores[score]} most={most} words={words} />
        </div>
      ))}
    </div>
  );
}

/** From one utterance to all of the conversation. */
function TrendsButton({ words }: { words: AnalysisWords }) {
  const { id } = useClient().session;
  const [opened, setOpened] = useState(false);
  if (id === null) return null;
  return (
    <>
      <Button variant="light" size="xs" leftSection={<IconChartLine size={16} stroke={1.8} />} onClick={() => setOpened(true)}>
        {words.trends}
      </Button>
      {opened && (
        <Suspense fallback={null}>
          <Trends session={id} onClose={() => setOpened(false)} />
        </Suspense>
      )}
    </>
  );
}
