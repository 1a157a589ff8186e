import { Button, Modal } from "@mantine/core";
import { useEffect, useRef, useState } from "react";

import { Refused } from "../../api/http";
import { acceptOpenNotice, refuseNotice, useNotice } from "../../app/notice";
import dialog from "../../app/Dialog.module.css";
import { useWords } from "../../i18n";
import classes from "./account.module.css";

/** Says what is kept, and for how long, before anything is; only a yes lets it begin. */
export function RecordingNotice() {
  const words = useWords();
  const me = useNotice();
  return (
    <Modal
      opened={me !== null}
      onClose={refuseNotice}
      title={words.account.notice.title}
      centered
      lockScroll={false}
      closeButtonProps={{ "aria-label": words.close }}
    >
      {me !== null && <Question days={me.keeping.retention_days} />}
    </Modal>
  );
}

function Question({ days }: { days: number }) {
  const says = useWords().account.notice;
  const [state, setState] = useState<"open" | "telling" | "failed">("open");
  const body = useRef<HTMLDivElement>(null);
  // Not on a button: whoever still holds the space bar to talk must not agree by letting go of it.
  useEffect(() => body.current?.focus(), []);
  const agree = () => {
    setState("telling");
    acceptOpenNotice().catch((error: unknown) => {
      // The server was renewed since this page was loaded, and words the notice differently.
      if (error instanceof Refused && error.code === "notice_outdated") location.reload();
      else setState("failed");
    });
  };
  return (
    <div ref={body} tabIndex={-1} data-autofocus data-notice className={classes.question}>
      <p>{says.lead}</p>
      <ul>
        <li>{says.long(days)}</li>
        <li>{says.where}</li>
        <li>{says.analysed}</li>
        <li>{says.delete}</li>
      </ul>
      {state === "failed" && (
        <p className={classes.trouble} role="alert">
          {says.failed}
        </p>
      )}
      <div className={dialog.buttons}>
        <Button variant="default" onClick={refuseNotice}>
          {says.refuse}
        </Button>
        <Button onClick={agree} loading={state === "telling"}>
          {says.agree}
        </Button>
      </div>
    </div>
  );
}
