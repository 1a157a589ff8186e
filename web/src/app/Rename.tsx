import { Button, Modal, TextInput } from "@mantine/core";
import { useState } from "react";

import { useWords } from "../i18n";
import classes from "./Dialog.module.css";

interface FormProps {
  /** As it is called now. */
  name: string;
  label: string;
  /** Characters. */
  longest: number;
  onRename: (name: string) => void;
  onClose: () => void;
}

interface Props extends FormProps {
  opened: boolean;
  title: string;
}

/** Asks for another name. */
export function Rename({ opened, title, ...form }: Props) {
  const words = useWords();
  return (
    <Modal
      opened={opened}
      onClose={form.onClose}
      title={title}
      centered
      lockScroll={false}
      closeButtonProps={{ "aria-label": words.close }}
    >
      <Form {...form} />
    </Modal>
  );
}

/** Made anew with every opening, with the name as it is then. */
function Form({ name, label, longest, onRename, onClose }: FormProps) {
  const words = useWords();
  const [given, setGiven] = useState(name);
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        onClose();
        onRename(given.trim());
      }}
    >
      <TextInput
        data-autofocus
        label={label}
        maxLength={longest}
        value={given}
        onChange={(event) => setGiven(event.currentTarget.value)}
      />
      <div className={classes.buttons}>
        <Button variant="default" onClick={onClose}>
          {words.cancel}
        </Button>
        <Button type="submit" disabled={given.trim() === ""}>
          {words.save}
        </Button>
      </div>
    </form>
  );
}
