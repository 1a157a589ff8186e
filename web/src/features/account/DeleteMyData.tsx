import { Button, Modal, TextInput } from "@mantine/core";
import { useState, type FormEvent } from "react";

import { eraseMyData, type ErasureResult } from "../../api/me";
import { useTranslations } from "../../i18n";
import { restartVisit } from "../../shared/auth";
import { client } from "../../shared/client";
import dialog from "../../shared/Dialog.module.css";
import { setPreferences } from "../../shared/preferences";
import classes from "./Account.module.css";

interface Props {
  /** To be typed as confirmation. */
  name: string;
  opened: boolean;
  onClose: () => void;
}

/** Deletes all data of the user, once they have typed their name. */
export function DeleteMyData({ name, opened, onClose }: Props) {
  const t = useTranslations();
  const labels = t.account.mine;
  const [result, setResult] = useState<ErasureResult | null>(null);
  const close = () => {
    if (result) restartVisit(); // the data that the page shows was deleted
    else onClose();
  };
  const complete = result !== null && !result.inProgress && result.remaining.length === 0;
  return (
    <Modal
      opened={opened}
      onClose={close}
      title={complete ? labels.forgotten : result ? labels.title : labels.forgetTitle}
      centered
      lockScroll={false}
      closeButtonProps={{ "aria-label": t.close }}
    >
      {result ? <DeletionResult result={result} onClose={close} /> : <DeletionForm name={name} onDone={setResult} onClose={close} />}
    </Modal>
  );
}

function DeletionForm({ name, onDone, onClose }: { name: string; onDone: (result: ErasureResult) => void; onClose: () => void }) {
  const t = useTranslations();
  const labels = t.account.mine;
  const [typedName, setTypedName] = useState("");
  const [state, setState] = useState<"asking" | "deleting" | "failed">("asking");
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (typedName.trim() !== name || state === "deleting") return;
    setState("deleting");
    client.openSession(null, []); // what is still being said would be stored after the deletion
    try {
      const result = await eraseMyData(typedName.trim());
      setPreferences({ person: "", rater: "", voice: "" });
      onDone(result);
    } catch {
      setState("failed");
    }
  };
  return (
    <form onSubmit={(event) => void submit(event)} className={classes.question} data-forget>
      <p>{labels.forgetBody}</p>
      <ul>
        {labels.goes.map((what) => (
          <li key={what}>{what}</li>
        ))}
      </ul>
      <p>{labels.forgetFinal}</p>
      <TextInput
        data-autofocus
        autoComplete="off"
        label={labels.confirm(name)}
        value={typedName}
        onChange={(event) => setTypedName(event.currentTarget.value)}
      />
      {state === "failed" && (
        <p className={classes.trouble} role="alert">
          {labels.forgetFailed}
        </p>
      )}
      <div className={dialog.buttons}>
        <Button variant="default" onClick={onClose}>
          {t.cancel}
        </Button>
        <Button type="submit" color="red.9" disabled={typedName.trim() !== name} loading={state === "deleting"}>
          {labels.forget}
        </Button>
      </div>
    </form>
  );
}

function DeletionResult({ result, onClose }: { result: ErasureResult; onClose: () => void }) {
  const t = useTranslations();
  const labels = t.account.mine;
  return (
    <div className={classes.question} role="status" data-forgotten={result.inProgress ? "going" : "done"}>
      <p>{result.inProgress ? labels.going : labels.counted(result.sessions, result.voices)}</p>
      {result.remaining.length > 0 && (
        <div className={classes.trouble}>
          <p>{labels.left}</p>
          <ul>
            {result.remaining.map((what) => (
              <li key={what}>{what}</li>
            ))}
          </ul>
        </div>
      )}
      <div className={dialog.buttons}>
        <Button onClick={onClose} data-autofocus>
          {t.close}
        </Button>
      </div>
    </div>
  );
}
