import { Button, Progress } from "@mantine/core";
import { IconDownload, IconTrash } from "@tabler/icons-react";
import { useEffect, useRef, useState } from "react";

import { exportMyData, type Me } from "../../api/me";
import { useTranslations } from "../../i18n";
import { saveFile } from "../../shared/saveFile";
import classes from "./Account.module.css";
import { DeleteMyData } from "./DeleteMyData";
import { formatBytes } from "./formatBytes";

/** The user's stored data: how long it is kept, export, deletion. */
export function MyData({ me }: { me: Me }) {
  const labels = useTranslations().account.mine;
  const [asking, setAsking] = useState(false);
  return (
    <section className={classes.account} aria-labelledby="my-data">
      <h3 id="my-data">{labels.title}</h3>
      <p className={classes.soft}>
        {me.keeping.keep ? labels.kept(me.keeping.retention_days) : labels.nothingKept}
        <br />
        {labels.voicesKept(me.keeping.voice_retention_days)}
      </p>
      <ExportMyData name={me.name} />
      <div>
        <Button
          variant="default"
          size="sm"
          className={classes.danger}
          leftSection={<IconTrash size={16} stroke={1.7} />}
          onClick={() => setAsking(true)}
        >
          {labels.forget}
        </Button>
      </div>
      <DeleteMyData name={me.name} opened={asking} onClose={() => setAsking(false)} />
    </section>
  );
}

type ExportState = { kind: "no" } | { kind: "coming"; bytes: number; of: number | null } | { kind: "failed" };

function ExportMyData({ name }: { name: string }) {
  const t = useTranslations();
  const labels = t.account.mine;
  const [state, setState] = useState<ExportState>({ kind: "no" });
  const abortController = useRef<AbortController | null>(null);
  useEffect(() => () => abortController.current?.abort(), []);
  const start = async () => {
    const controller = new AbortController();
    abortController.current = controller;
    setState({ kind: "coming", bytes: 0, of: null });
    try {
      const onProgress = (bytes: number, of: number | null) => setState({ kind: "coming", bytes, of });
      saveFile(await exportMyData(onProgress, controller.signal), fileName(name));
      setState({ kind: "no" });
    } catch {
      setState({ kind: controller.signal.aborted ? "no" : "failed" });
    }
  };
  const downloading = state.kind === "coming";
  const share = downloading && state.of !== null ? state.bytes / state.of : null;
  return (
    <div>
      <Button
        variant="default"
        size="sm"
        leftSection={<IconDownload size={16} stroke={1.7} />}
        loading={downloading}
        onClick={() => void start()}
      >
        {labels.export}
      </Button>
      {downloading && (
        <div className={classes.coming}>
          <Progress
            value={share === null ? 100 : share * 100}
            animated={share === null}
            striped={share === null}
            aria-label={labels.exporting}
          />
          <small>{labels.came(formatBytes(state.bytes))}</small>
          <Button variant="subtle" size="compact-xs" onClick={() => abortController.current?.abort()}>
            {t.cancel}
          </Button>
        </div>
      )}
      {state.kind === "failed" && (
        <p className={classes.trouble} role="alert">
          {labels.exportFailed}
        </p>
      )}
    </div>
  );
}

/** A file name that is valid on every file system. */
function fileName(person: string): string {
  const day = new Date().toISOString().slice(0, 10);
  return `kuaimei-${person.replace(/[^\p{L}\p{N}_-]+/gu, "-")}-${day}.zip`;
}
