import { Button, CloseButton, Progress } from "@mantine/core";
import { IconAlertTriangle, IconInfoCircle } from "@tabler/icons-react";
import { useEffect, useState, type ReactNode } from "react";

import { getStatus } from "../../api/status";
import { useTranslations } from "../../i18n";
import type { Problem } from "../../realtime/problems";
import { useAuth } from "../../shared/auth";
import { client, useClient } from "../../shared/client";
import { useCurrentUser } from "../../shared/currentUser";
import classes from "./Notices.module.css";

const LOADING_POLL_MS = 1_000;
const AUTO_RECOVERING: ReadonlySet<Problem> = new Set(["loading", "full", "in-use"]);

/** Problems that prevent the conversation, and what to do about them. */
export function Notices() {
  const t = useTranslations();
  const { problem, connection, session } = useClient();
  const auth = useAuth();
  const me = useCurrentUser();
  const [dismissed, setDismissed] = useState(false);
  if (problem === "key" || problem === "revoked") return null; // the sign-in replaces the page
  if (problem !== null) {
    const { title, body } = t.problems[problem];
    return (
      <Notice title={title} body={body} calm={AUTO_RECOVERING.has(problem)} kind={problem}>
        {problem === "loading" && <LoadingProgress />}
        {problem === "in-use" && (
          <Button size="xs" variant="default" onClick={() => void client.takeOver()}>
            {t.continueHere}
          </Button>
        )}
        {problem === "offline" && (
          <Button size="xs" variant="default" onClick={() => client.retry()}>
            {t.retry}
          </Button>
        )}
      </Notice>
    );
  }
  if (connection.kind === "waiting") {
    return <Notice title={t.waitingTitle(connection.place)} body={t.waitingBody} calm kind="waiting" />;
  }
  if (session.error !== null) {
    return <Notice title={t.errorTitle} body={session.error.message} kind="error" />;
  }
  // The user may have been sent an address with the key of another account.
  if (auth.kind === "in" && auth.fromAddress && (me?.via === "key" || me?.via === "api_key") && !dismissed) {
    const { who } = t.account;
    return (
      <Notice title={who.fromAddress(me.name)} body={who.fromAddressBody} calm kind="from-address" onClose={() => setDismissed(true)} />
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
  const t = useTranslations();
  const Icon = calm ? IconInfoCircle : IconAlertTriangle;
  return (
    <section className={classes.notice} data-calm={calm || undefined} data-problem={kind} role="alert">
      <Icon className={classes.icon} size={22} stroke={1.7} aria-hidden="true" />
      <div className={classes.text}>
        <strong>{title}</strong>
        <p>{body}</p>
        {children}
      </div>
      <CloseButton aria-label={t.close} onClick={onClose} />
    </section>
  );
}

/** Progress of loading the models. */
function LoadingProgress() {
  const t = useTranslations();
  const [progress, setProgress] = useState<number | null>(null);
  useEffect(() => {
    const timer = setInterval(() => {
      getStatus().then(
        (status) => setProgress(status.progress),
        () => undefined, // the client detects it by itself
      );
    }, LOADING_POLL_MS);
    return () => clearInterval(timer);
  }, []);
  const percent = progress === null ? 100 : Math.round(progress * 100);
  return (
    <>
      <Progress value={percent} animated={progress === null} striped={progress === null} aria-label={t.problems.loading.title} />
      {progress !== null && <small>{t.progress(percent)}</small>}
    </>
  );
}
