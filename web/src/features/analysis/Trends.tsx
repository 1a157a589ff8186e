import { Button, Loader, Modal } from "@mantine/core";
import { useMediaQuery } from "@mantine/hooks";
import { IconDownload } from "@tabler/icons-react";
import { useState } from "react";

import { SCORES, sessionAnalysisCsv, type AnalysedUtterance, type SessionAnalysis } from "../../api/analysis";
import { getBlob } from "../../api/http";
import { useTranslations } from "../../i18n";
import type { AnalysisTranslations } from "../../i18n/analysis";
import { saveFile } from "../../shared/saveFile";
import { average, differenceText, scoredUtterances, type ScoredUtterance } from "./formatScores";
import { ScoreMarker } from "./ScoreMarker";
import { scorePoints } from "./scorePoints";
import { TrendLines } from "./TrendLines";
import classes from "./Trends.module.css";
import { useAnalysisTranslations } from "./useAnalysisTranslations";
import { useSessionAnalysis } from "./useSessionAnalysis";

interface Props {
  session: string;
  onClose: () => void;
}

/** The user's scores over a conversation, compared with their average. */
export default function Trends({ session, onClose }: Props) {
  const page = useTranslations();
  const t = useAnalysisTranslations();
  const narrow = useMediaQuery("(max-width: 40em)", false, { getInitialValueInEffect: false });
  const { analysis, failed } = useSessionAnalysis(session);
  return (
    <Modal
      opened
      onClose={onClose}
      title={t.trends}
      size={720}
      centered
      fullScreen={narrow ?? false}
      lockScroll={false}
      closeButtonProps={{ "aria-label": page.close }}
    >
      <div className={classes.trends} data-trends={analysis ? "ready" : failed ? "failed" : "loading"}>
        {analysis ? (
          <TrendCharts analysis={analysis} session={session} t={t} />
        ) : failed ? (
          <p role="alert">{t.failed}</p>
        ) : (
          <Loader size="xs" type="dots" />
        )}
      </div>
    </Modal>
  );
}

interface TrendChartsProps {
  analysis: SessionAnalysis;
  session: string;
  t: AnalysisTranslations;
}

function TrendCharts({ analysis, session, t }: TrendChartsProps) {
  const userUtterances = analysis.data.filter(({ speaker }) => speaker === "user");
  const scored = scoredUtterances(analysis.data, "user");
  const waiting = userUtterances.filter(({ state }) => state === "waiting").length;
  return (
    <>
      {scored.length === 0 ? (
        <p>{t.trendsNone}</p>
      ) : (
        <>
          <p className={classes.soft}>{analysis.usual ? t.trendsIntro : t.trendsFew}</p>
          <ScoreAverages scored={scored} usual={analysis.usual} t={t} />
          <TrendLines scored={scored} usual={analysis.usual} t={t} />
        </>
      )}
      {waiting > 0 && (
        <p role="status" className={classes.soft}>
          {t.waitingCount(String(waiting))}
        </p>
      )}
      {userUtterances.length > 0 && <UtteranceTable utterances={userUtterances} t={t} />}
      <DownloadAnalysis session={session} t={t} />
    </>
  );
}

interface ScoreAveragesProps {
  scored: ScoredUtterance[];
  usual: SessionAnalysis["usual"];
  t: AnalysisTranslations;
}

function ScoreAverages({ scored, usual, t }: ScoreAveragesProps) {
  return (
    <dl className={classes.averages}>
      {SCORES.map((score) => {
        const value = scorePoints(average(scored, score));
        return (
          <div key={score} data-average={score}>
            <dt>
              <ScoreMarker score={score} />
              {t.scores[score]}
            </dt>
            <dd>
              <strong>{value}</strong> {usual && <span>{differenceText(value - scorePoints(usual[score]), t)}</span>}
            </dd>
          </div>
        );
      })}
    </dl>
  );
}

function UtteranceTable({ utterances, t }: { utterances: AnalysedUtterance[]; t: AnalysisTranslations }) {
  return (
    <details className={classes.table}>
      <summary>{t.asTable}</summary>
      <div className={classes.scroll} tabIndex={0} role="region" aria-label={t.asTable}>
        <table>
          <thead>
            <tr>
              <th scope="col">{t.utterance}</th>
              {SCORES.map((score) => (
                <th scope="col" key={score}>
                  {t.scores[score]}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {utterances.map((one) => (
              <tr key={one.utterance}>
                <th scope="row">{one.transcript || t.typed}</th>
                {one.scores ? (
                  SCORES.map((score) => <td key={score}>{one.scores && scorePoints(one.scores[score].value)}</td>)
                ) : (
                  <td colSpan={SCORES.length}>{one.reason ? t.reasons[one.reason] : t.waiting}</td>
                )}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}

function DownloadAnalysis({ session, t }: { session: string; t: AnalysisTranslations }) {
  const [failed, setFailed] = useState(false);
  const take = () => {
    setFailed(false);
    getBlob(sessionAnalysisCsv(session)).then(
      (file) => saveFile(file, `${session}-analysis.csv`),
      () => setFailed(true),
    );
  };
  return (
    <div>
      <Button variant="default" size="xs" leftSection={<IconDownload size={16} stroke={1.8} />} onClick={take}>
        {t.download}
      </Button>
      {failed && <p role="alert">{t.failed}</p>}
    </div>
  );
}
