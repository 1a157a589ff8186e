import { Button, Progress } from "@mantine/core";
import { IconDownload, IconTrash } from "@tabler/icons-react";
import { useEffect, useRef, useState } from "react";

import { exportMe, type Me } from "../../api/me";
import { useWords } from "../../i18n";
import { save } from "../sessions/exporting";
import classes from "./account.module.css";
import { ForgetMe } from "./ForgetMe";
import { sizeOf } from "./size";

/** What is kept of whoever uses this page: how long, all of it to take along, all of it to be deleted. */
export function MyData({ me }: { me: Me }) {
  const says = useWords().account.mine;
  const [asking, setAsking] = useState(false);
  return (
    <section className={classes.account} aria-labelledby="my-data">
      <h3 id="my-data">{says.title}</h3>
      <p className={classes.soft}>
        {me.keeping.keep ? says.kept(me.keeping.retention_days) : says.nothingKept}
        <br />
        {says.voicesKept(me.keeping.voice_retention_days)}
      </p>
      <Export name={me.name} />
      <div>
        <Button
          variant="default"
          size="sm"
          className={classes.danger}
          leftSection={<IconTrash size={16} stroke={1.7} />}
          onClick={() => setAsking(true)}
        >
          {says.forget}
        </Button>
      </div>
      <ForgetMe name={me.name} opened={asking} onClose={() => setAsking(false)} />
    </section>
  );
}

type Exporting = { kind: "no" } | { kind: "coming"; bytes: number; of: number | null } | { kind: "failed" };

function Export({ name }: { name: string }) {
  const words = useWords();
  const says = words.account.mine;
  const [state, setState] = useState<Exporting>({ kind: "no" });
  const aborting = useRef<AbortController | null>(null);
  useEffect(() => () => aborting.current?.abort(), []);
  const start = async () => {
    const abort = new AbortController();
    aborting.current = abort;
    setState({ kind: "coming", bytes: 0, of: null });
    try {
      const came = (bytes: number, of: number | null) => setState({ kind: "coming", bytes, of });
      save(await exportMe(came, abort.signal), fileName(name));
      setState({ kind: "no" });
    } catch {
      setState({ kind: abort.signal.aborted ? "no" : "failed" });
    }
  };
  const coming = state.kind === "coming";
  const share = coming && state.of !== null ? state.bytes / state.of : null;
  return (
    <div>
      <Button
        variant="default"
        size="sm"
        leftSection={<IconDownload size={16} stroke={1.7} />}
        loading={coming}
        onClick={() => void start()}
      >
        {says.export}
      </Button>
      {coming && (
        <div className={classes.coming}>
          <Progress
            value={share === null ? 100 : share * 100}
            animated={share === null}
            striped={share === null}
            aria-label={says.exporting}
          />
          <small>{says.came(sizeOf(state.bytes))}</small>
          <Button variant="subtle" size="compact-xs" onClick={() => aborting.current?.abort()}>
            {words.cancel}
          </Button>
        </div>
      )}
      {state.kind === "failed" && (
        <p className={classes.trouble} role="alert">
          {says.exportFailed}
        </p>
      )}
    </div>
  );
}

/** A name for the file that every file system takes. */
function fileName(person: string): string {
  const day = new Date().toISOString().slice(0, 10);
  return `kuaimei-${person.replace(/[^\p{L}\p{N}_-]+/gu, "-")}-${day}.zip`;
}
