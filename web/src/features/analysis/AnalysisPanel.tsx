import { Button, Loader } from "@mantine/core";
import { IconChartLine } from "@tabler/icons-react";
import { lazy, Suspense, useEffect, useRef, useState } from "react";

import { SCORES, type Analysis } from "../../api/analysis";
import type { AnalysisTranslations } from "../../i18n/analysis";
import { useClient } from "../../shared/client";
import classes from "./AnalysisPanel.module.css";
import { Contour } from "./Contour";
import { Contributions } from "./Contributions";
import { FeatureTable } from "./FeatureTable";
import { largestAmount } from "./formatScores";
import { Gauge } from "./Gauge";
import { useAnalysis } from "./useAnalysis";
import { useAnalysisTranslations } from "./useAnalysisTranslations";

const Trends = lazy(() => import("./Trends"));

const SCROLL_MARGIN_PX = 120;
/** The two durations are known of any recording; the table needs more than these. */
const LENGTH_FEATURES = 2;

interface Props {
  utterance: string;
  audio: string;
}

/** Analysis of an utterance: scores, contributions, and the recording with its contours. */
export default function AnalysisPanel({ utterance, audio }: Props) {
  const t = useAnalysisTranslations();
  const { analysis, failed } = useAnalysis(utterance);
  const place = useRef<HTMLElement>(null);
  const there = analysis !== null;
  useEffect(() => {
    const list = place.current?.closest("[role=region]");
    if (!there || !place.current || !list) return;
    // The panel is taller than the list: scroll to its beginning, with the text above it visible.
    list.scrollTop += place.current.getBoundingClientRect().top - list.getBoundingClientRect().top - SCROLL_MARGIN_PX;
  }, [there]);
  return (
    <section ref={place} className={classes.panel} aria-label={t.title} data-panel={analysis?.state ?? "loading"}>
      {analysis === null ? (
        failed ? <p role="alert">{t.failed}</p> : <Loader size="xs" type="dots" />
      ) : (
        <AnalysisDetails analysis={analysis} audio={audio} t={t} />
      )}
    </section>
  );
}

interface AnalysisDetailsProps {
  analysis: Analysis;
  audio: string;
  t: AnalysisTranslations;
}

function AnalysisDetails({ analysis, audio, t }: AnalysisDetailsProps) {
  const { scores, contours, reason } = analysis;
  if (analysis.state === "waiting") {
    return (
      <p role="status" className={classes.waiting}>
        <Loader size="xs" type="dots" /> {t.waiting}
      </p>
    );
  }
  return (
    <>
      {scores && <Scores scores={scores} t={t} />}
      {!scores && reason && <p className={classes.reason}>{t.reasons[reason] ?? reason}</p>}
      {contours && <Contour audio={audio} contours={contours} t={t} />}
      {Object.keys(analysis.features).length > LENGTH_FEATURES && <FeatureTable analysis={analysis} t={t} />}
      <div className={classes.foot}>
        {scores && <TrendsButton t={t} />}
        <p>
          {scores && <span>{t.caution}</span>}{" "}
          {analysis.extractor && <span>{t.version(analysis.extractor, analysis.head ?? "–")}</span>}
        </p>
      </div>
    </>
  );
}

function Scores({ scores, t }: { scores: NonNullable<Analysis["scores"]>; t: AnalysisTranslations }) {
  const maxAmount = largestAmount(scores);
  return (
    <div className={classes.scores}>
      {SCORES.map((score) => (
        <div key={score} className={classes.score}>
          <Gauge score={score} of={scores[score]} t={t} />
          <Contributions score={score} of={scores[score]} maxAmount={maxAmount} t={t} />
        </div>
      ))}
    </div>
  );
}

/** Opens the trends of the whole conversation. */
function TrendsButton({ t }: { t: AnalysisTranslations }) {
  const { id } = useClient().session;
  const [opened, setOpened] = useState(false);
  if (id === null) return null;
  return (
    <>
      <Button variant="light" size="xs" leftSection={<IconChartLine size={16} stroke={1.8} />} onClick={() => setOpened(true)}>
        {t.trends}
      </Button>
      {opened && (
        <Suspense fallback={null}>
          <Trends session={id} onClose={() => setOpened(false)} />
        </Suspense>
      )}
    </>
  );
}
