import { Button, Table } from "@mantine/core";
import { useState } from "react";

import { forgetResults, RESULTS_CSV, type Pair, type Results as Found } from "../../api/listening";
import { getSound } from "../../api/rest";
import { Confirm } from "../../app/Confirm";
import { useWords } from "../../i18n";
import { save } from "../sessions/exporting";
import classes from "./Listening.module.css";

interface Props {
  results: Found | null;
  called: (one: string) => string;
  onForgotten: () => void;
}

/** What came of all judgements so far. */
export function Results({ results, called, onForgotten }: Props) {
  const { listen } = useWords();
  const [asking, setAsking] = useState(false);
  const [failed, setFailed] = useState(false);
  if (results === null) return null;
  const attempt = (work: Promise<unknown>) => {
    setFailed(false);
    work.catch(() => setFailed(true));
  };
  return (
    <section className={classes.results} aria-labelledby="results">
      <h2 id="results">{listen.results}</h2>
      {results.judged === 0 ? (
        <p className={classes.soft}>{listen.none}</p>
      ) : (
        <>
          <Table>
            <Table.Thead>
              <Table.Tr>
                <Table.Th>{listen.pair}</Table.Th>
                <Table.Th>{listen.judged}</Table.Th>
                <Table.Th>{listen.share}</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {results.pairs.map((pair) => (
                <Row key={`${pair.first} ${pair.second}`} pair={pair} called={called} />
              ))}
            </Table.Tbody>
          </Table>
          <div className={classes.choices}>
            <Button
              variant="default"
              size="xs"
              onClick={() => attempt(getSound(RESULTS_CSV).then((file) => save(file, "listening.csv")))}
            >
              {listen.download}
            </Button>
            <Button variant="default" size="xs" onClick={() => setAsking(true)}>
              {listen.forget}
            </Button>
          </div>
        </>
      )}
      {failed && <p role="alert">{listen.failed}</p>}
      <Confirm
        opened={asking}
        title={listen.forgetTitle}
        body={listen.forgetBody}
        action={listen.forget}
        onConfirm={() => attempt(forgetResults().then(onForgotten))}
        onClose={() => setAsking(false)}
      />
    </section>
  );
}

function Row({ pair, called }: { pair: Pair; called: (one: string) => string }) {
  const listen = useWords().listen;
  const { first_preferred, second_preferred, same, share, low, high } = pair;
  const range = low === null || high === null ? null : `${whole(low)}–${whole(high)}%`;
  return (
    <Table.Tr data-pair={`${pair.first} ${pair.second}`}>
      <Table.Td>{`${called(pair.first)} / ${called(pair.second)}`}</Table.Td>
      <Table.Td>{first_preferred + second_preferred + same}</Table.Td>
      <Table.Td>
        {share === null ? "–" : `${whole(share)}%`} {range && <small>{listen.interval(range)}</small>}
      </Table.Td>
    </Table.Tr>
  );
}

function whole(share: number): string {
  return String(Math.round(share * 100));
}
