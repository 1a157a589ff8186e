import { Button, Modal, TextInput } from "@mantine/core";
import { useState, type FormEvent } from "react";

import { forgetMe, type Forgotten } from "../../api/me";
import { startAnew } from "../../app/access";
import { client } from "../../app/client";
import dialog from "../../app/Dialog.module.css";
import { prefer } from "../../app/preferences";
import { useWords } from "../../i18n";
import classes from "./account.module.css";

interface Props {
  /** To be typed by whoever really means it. */
  name: string;
  opened: boolean;
  onClose: () => void;
}

/** Deletes everything of a person, once they have typed their name. */
export function ForgetMe({ name, opened, onClose }: Props) {
  const words = useWords();
  const says = words.account.mine;
  const [forgotten, setForgotten] = useState<Forgotten | null>(null);
  const close = () => {
    if (forgotten) startAnew(); // nothing that is shown is there any more
    else onClose();
  };
  const complete = forgotten !== null && !forgotten.going && forgotten.left.length === 0;
  return (
    <Modal
      opened={opened}
      onClose={close}
      title={complete ? says.forgotten : forgotten ? says.title : says.forgetTitle}
      centered
      lockScroll={false}
      closeButtonProps={{ "aria-label": words.close }}
    >
      {forgotten ? <Result forgotten={forgotten} onClose={close} /> : <Form name={name} onDone={setForgotten} onClose={close} />}
    </Modal>
  );
}

function Form({ name, onDone, onClose }: { name: string; onDone: (forgotten: Forgotten) => void; onClose: () => void }) {
  const words = useWords();
  const says = words.account.mine;
  const [typed, setTyped] = useState("");
  const [state, setState] = useState<"asking" | "deleting" | "failed">("asking");
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (typed.trim() !== name || state === "deleting") return;
    setState("deleting");
    client.open(null, []); // what is still being said would be kept after the deletion
    try {
      const forgotten = await forgetMe(typed.trim());
      prefer({ person: "", rater: "", voice: "" });
      onDone(forgotten);
    } catch {
      setState("failed");
    }
  };
  return (
    <form onSubmit={(event) => void submit(event)} className={classes.question} data-forget>
      <p>{says.forgetBody}</p>
      <ul>
        {says.goes.map((what) => (
          <li key={what}>{what}</li>
        ))}
      </ul>
      <p>{says.forgetFinal}</p>
      <TextInput
        data-autofocus
        autoComplete="off"
        label={says.confirm(name)}
        value={typed}
        onChange={(event) => setTyped(event.currentTarget.value)}
      />
      {state === "failed" && (
        <p className={classes.trouble} role="alert">
          {says.forgetFailed}
        </p>
      )}
      <div className={dialog.buttons}>
        <Button variant="default" onClick={onClose}>
          {words.cancel}
        </Button>
        <Button type="submit" color="red.9" disabled={typed.trim() !== name} loading={state === "deleting"}>
          {says.forget}
        </Button>
      </div>
    </form>
  );
}

function Result({ forgotten, onClose }: { forgotten: Forgotten; onClose: () => void }) {
  const words = useWords();
  const says = words.account.mine;
  return (
    <div className={classes.question} role="status" data-forgotten={forgotten.going ? "going" : "done"}>
      <p>{forgotten.going ? says.going : says.counted(forgotten.sessions, forgotten.voices)}</p>
      {forgotten.left.length > 0 && (
        <div className={classes.trouble}>
          <p>{says.left}</p>
          <ul>
            {forgotten.left.map((what) => (
              <li key={what}>{what}</li>
            ))}
          </ul>
        </div>
      )}
      <div className={dialog.buttons}>
        <Button onClick={onClose} data-autofocus>
          {words.close}
        </Button>
      </div>
    </div>
  );
}
