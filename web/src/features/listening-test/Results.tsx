import { Button, Table } from "@mantine/core";
import { useState } from "react";

import { getBlob } from "../../api/http";
import { deleteListeningResults, RESULTS_CSV, type ListeningResults, type PairResult } from "../../api/listeningTests";
import { useTranslations } from "../../i18n";
import { ConfirmDialog } from "../../shared/ConfirmDialog";
import { saveFile } from "../../shared/saveFile";
import classes from "./ListeningTest.module.css";

interface Props {
  results: ListeningResults | null;
  labelOf: (one: string) => string;
  onForgotten: () => void;
}

/** Results of all choices so far. */
export function Results({ results, labelOf, onForgotten }: Props) {
  const { listeningTest: labels } = useTranslations();
  const [asking, setAsking] = useState(false);
  const [failed, setFailed] = useState(false);
  if (results === null) return null;
  const attempt = (work: Promise<unknown>) => {
    setFailed(false);
    work.catch(() => setFailed(true));
  };
  return (
    <section className={classes.results} aria-labelledby="results">
      <h2 id="results">{labels.results}</h2>
      {results.judged === 0 ? (
        <p className={classes.soft}>{labels.none}</p>
      ) : (
        <>
          <Table>
            <Table.Thead>
              <Table.Tr>
                <Table.Th>{labels.pair}</Table.Th>
                <Table.Th>{labels.judged}</Table.Th>
                <Table.Th>{labels.share}</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {results.pairs.map((pair) => (
                <Row key={`${pair.first} ${pair.second}`} pair={pair} labelOf={labelOf} />
              ))}
            </Table.Tbody>
          </Table>
          <div className={classes.choices}>
            <Button
              variant="default"
              size="xs"
              onClick={() => attempt(getBlob(RESULTS_CSV).then((file) => saveFile(file, "listening.csv")))}
            >
              {labels.download}
            </Button>
            <Button variant="default" size="xs" onClick={() => setAsking(true)}>
              {labels.forget}
            </Button>
          </div>
        </>
      )}
      {failed && <p role="alert">{labels.failed}</p>}
      <ConfirmDialog
        opened={asking}
        title={labels.forgetTitle}
        body={labels.forgetBody}
        action={labels.forget}
        onConfirm={() => attempt(deleteListeningResults().then(onForgotten))}
        onClose={() => setAsking(false)}
      />
    </section>
  );
}

function Row({ pair, labelOf }: { pair: PairResult; labelOf: (one: string) => string }) {
  const labels = useTranslations().listeningTest;
  const { first_preferred, second_preferred, same, share, low, high } = pair;
  const range = low === null || high === null ? null : `${formatPercent(low)}–${formatPercent(high)}%`;
  return (
    <Table.Tr data-pair={`${pair.first} ${pair.second}`}>
      <Table.Td>{`${labelOf(pair.first)} / ${labelOf(pair.second)}`}</Table.Td>
      <Table.Td>{first_preferred + second_preferred + same}</Table.Td>
      <Table.Td>
        {share === null ? "–" : `${formatPercent(share)}%`} {range && <small>{labels.interval(range)}</small>}
      </Table.Td>
    </Table.Tr>
  );
}

function formatPercent(share: number): string {
  return String(Math.round(share * 100));
}
