import { Button, Loader, Modal } from "@mantine/core";
import { useMediaQuery } from "@mantine/hooks";
import { IconDownload } from "@tabler/icons-react";
import { useState } from "react";

import { courseCsv, SCORES, type Course, type Spoken } from "../../api/analysis";
import { getSound } from "../../api/rest";
import { useWords } from "../../i18n";
import type { AnalysisWords } from "../../i18n/analysis";
import { save } from "../sessions/exporting";
import { Marker } from "./Marker";
import { points } from "./points";
import { average, besides, scoredOf, type Scored } from "./telling";
import { TrendLines } from "./TrendLines";
import classes from "./Trends.module.css";
import { useCourse } from "./useCourse";
import { useAnalysisWords } from "./words";

interface Props {
  session: string;
  onClose: () => void;
}

/** How the user's manner changed over a conversation, beside what is usual for them. */
export default function Trends({ session, onClose }: Props) {
  const page = useWords();
  const words = useAnalysisWords();
  const narrow = useMediaQuery("(max-width: 40em)", false, { getInitialValueInEffect: false });
  const { course, failed } = useCourse(session);
  return (
    <Modal
      opened
      onClose={onClose}
      title={words.trends}
      size={720}
      centered
      fullScreen={narrow ?? false}
      lockScroll={false}
      closeButtonProps={{ "aria-label": page.close }}
    >
      <div className={classes.trends} data-trends={course ? "ready" : failed ? "failed" : "loading"}>
        {course ? (
          <Found course={course} session={session} words={words} />
        ) : failed ? (
          <p role="alert">{words.failed}</p>
        ) : (
          <Loader size="xs" type="dots" />
        )}
      </div>
    </Modal>
  );
}

interface FoundProps {
  course: Course;
  session: string;
  words: AnalysisWords;
}

function Found({ course, session, words }: FoundProps) {
  const mine = course.data.filter(({ speaker }) => speaker === "user");
  const scored = scoredOf(course.data, "user");
  const waiting = mine.filter(({ state }) => state === "waiting").length;
  return (
    <>
      {scored.length === 0 ? (
        <p>{words.trendsNone}</p>
      ) : (
        <>
          <p className={classes.soft}>{course.usual ? words.trendsIntro : words.trendsFew}</p>
          <Averages scored={scored} usual={course.usual} words={words} />
          <TrendLines scored={scored} usual={course.usual} words={words} />
        </>
      )}
      {waiting > 0 && (
        <p role="status" className={classes.soft}>
          {words.waitingCount(String(waiting))}
        </p>
      )}
      {mine.length > 0 && <AsTable spoken={mine} words={words} />}
      <Download session={session} words={words} />
    </>
  );
}

interface AveragesProps {
  scored: Scored[];
  usual: Course["usual"];
  words: AnalysisWords;
}

function Averages({ scored, usual, words }: AveragesProps) {
  return (
    <dl className={classes.averages}>
      {SCORES.map((score) => {
        const value = points(average(scored, score));
        return (
          <div key={score} data-average={score}>
            <dt>
              <Marker score={score} />
              {words.scores[score]}
            </dt>
            <dd>
              <strong>{value}</strong> {usual && <span>{besides(value - points(usual[score]), words)}</span>}
            </dd>
          </div>
        );
      })}
    </dl>
  );
}

function AsTable({ spoken, words }: { spoken: Spoken[]; words: AnalysisWords }) {
  return (
    <details className={classes.table}>
      <summary>{words.asTable}</summary>
      <div className={classes.scroll} tabIndex={0} role="region" aria-label={words.asTable}>
        <table>
          <thead>
            <tr>
              <th scope="col">{words.utterance}</th>
              {SCORES.map((score) => (
                <th scope="col" key={score}>
                  {words.scores[score]}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {spoken.map((one) => (
              <tr key={one.utterance}>
                <th scope="row">{one.transcript || words.typed}</th>
                {one.scores ? (
                  SCORES.map((score) => <td key={score}>{one.scores && points(one.scores[score].value)}</td>)
                ) : (
                  <td colSpan={SCORES.length}>{one.reason ? words.reasons[one.reason] : words.waiting}</td>
                )}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}

function Download({ session, words }: { session: string; words: AnalysisWords }) {
  const [failed, setFailed] = useState(false);
  const take = () => {
    setFailed(false);
    getSound(courseCsv(session)).then(
      (file) => save(file, `${session}-analysis.csv`),
      () => setFailed(true),
    );
  };
  return (
    <div>
      <Button variant="default" size="xs" leftSection={<IconDownload size={16} stroke={1.8} />} onClick={take}>
        {words.download}
      </Button>
      {failed && <p role="alert">{words.failed}</p>}
    </div>
  );
}
