import { Button, Modal } from "@mantine/core";
import { useEffect, useRef, useState } from "react";

import { HttpError } from "../../api/http";
import { useTranslations } from "../../i18n";
import dialog from "../../shared/Dialog.module.css";
import { giveConsent, refuseConsent, useConsentRequest } from "../../shared/recordingConsent";
import classes from "./Account.module.css";

/** Asks for consent before anything is recorded: what is stored, where and for how long. */
export function RecordingNotice() {
  const t = useTranslations();
  const me = useConsentRequest();
  return (
    <Modal
      opened={me !== null}
      onClose={refuseConsent}
      title={t.account.notice.title}
      centered
      lockScroll={false}
      closeButtonProps={{ "aria-label": t.close }}
    >
      {me !== null && <ConsentQuestion days={me.keeping.retention_days} />}
    </Modal>
  );
}

function ConsentQuestion({ days }: { days: number }) {
  const labels = useTranslations().account.notice;
  const [state, setState] = useState<"open" | "telling" | "failed">("open");
  const body = useRef<HTMLDivElement>(null);
  // Focus no button: releasing the space bar held for talking must not count as agreement.
  useEffect(() => body.current?.focus(), []);
  const agree = () => {
    setState("telling");
    giveConsent().catch((error: unknown) => {
      // The server was updated since this page was loaded, and has another notice.
      if (error instanceof HttpError && error.code === "notice_outdated") location.reload();
      else setState("failed");
    });
  };
  return (
    <div ref={body} tabIndex={-1} data-autofocus data-notice className={classes.question}>
      <p>{labels.lead}</p>
      <ul>
        <li>{labels.long(days)}</li>
        <li>{labels.where}</li>
        <li>{labels.analysed}</li>
        <li>{labels.delete}</li>
      </ul>
      {state === "failed" && (
        <p className={classes.trouble} role="alert">
          {labels.failed}
        </p>
      )}
      <div className={dialog.buttons}>
        <Button variant="default" onClick={refuseConsent}>
          {labels.refuse}
        </Button>
        <Button onClick={agree} loading={state === "telling"}>
          {labels.agree}
        </Button>
      </div>
    </div>
  );
}
