import { Button, CloseButton, Progress } from "@mantine/core";
import { IconAlertTriangle, IconInfoCircle } from "@tabler/icons-react";
import { useEffect, useState, type ReactNode } from "react";

import { getStatus } from "../../api/rest";
import { useAccess } from "../../app/access";
import { client, useClient } from "../../app/client";
import { useMe } from "../../app/identity";
import { useWords } from "../../i18n";
import type { Problem } from "../../realtime/problems";
import classes from "./Notices.module.css";

const LOADING_POLL_MS = 1_000;
const BEING_MENDED: ReadonlySet<Problem> = new Set(["loading", "full", "in-use"]);

/** What stands in the way, a sentence each, and what to do. */
export function Notices() {
  const words = useWords();
  const { problem, connection, session } = useClient();
  const access = useAccess();
  const me = useMe();
  const [told, setTold] = useState(false);
  if (problem === "key" || problem === "revoked") return null; // the sign-in takes the place of the page
  if (problem !== null) {
    const { title, body } = words.problems[problem];
    return (
      <Notice title={title} body={body} calm={BEING_MENDED.has(problem)} kind={problem}>
        {problem === "loading" && <Loading />}
        {problem === "in-use" && (
          <Button size="xs" variant="default" onClick={() => void client.takeOver()}>
            {words.continueHere}
          </Button>
        )}
        {problem === "offline" && (
          <Button size="xs" variant="default" onClick={() => client.retry()}>
            {words.retry}
          </Button>
        )}
      </Notice>
    );
  }
  if (connection.kind === "waiting") {
    return <Notice title={words.waitingTitle(connection.place)} body={words.waitingBody} calm kind="waiting" />;
  }
  if (session.error !== null) {
    return <Notice title={words.errorTitle} body={session.error.message} kind="error" />;
  }
  // Somebody may have been sent an address that leads into the account of another.
  if (access.kind === "in" && access.fromAddress && (me?.via === "key" || me?.via === "api_key") && !told) {
    const { who } = words.account;
    return (
      <Notice title={who.fromAddress(me.name)} body={who.fromAddressBody} calm kind="from-address" onClose={() => setTold(true)} />
    );
  }
  return null;
}

interface NoticeProps {
  title: string;
  body: string;
  kind: string;
  calm?: boolean;
  onClose?: () => void;
  children?: ReactNode;
}

function Notice({ title, body, kind, calm = false, onClose = () => client.dismiss(), children }: NoticeProps) {
  const words = useWords();
  const Icon = calm ? IconInfoCircle : IconAlertTriangle;
  return (
    <section className={classes.notice} data-calm={calm || undefined} data-problem={kind} role="alert">
      <Icon className={classes.icon} size={22} stroke={1.7} aria-hidden="true" />
      <div className={classes.text}>
        <strong>{title}</strong>
        <p>{body}</p>
        {children}
      </div>
      <CloseButton aria-label={words.close} onClick={onClose} />
    </section>
  );
}

/** How far the models are. */
function Loading() {
  const words = useWords();
  const [progress, setProgress] = useState<number | null>(null);
  useEffect(() => {
    const timer = setInterval(() => {
      getStatus().then(
        (status) => setProgress(status.progress),
        () => undefined, // the client finds out by itself
      );
    }, LOADING_POLL_MS);
    return () => clearInterval(timer);
  }, []);
  const percent = progress === null ? 100 : Math.round(progress * 100);
  return (
    <>
      <Progress value={percent} animated={progress === null} striped={progress === null} aria-label={words.problems.loading.title} />
      {progress !== null && <small>{words.progress(percent)}</small>}
    </>
  );
}
