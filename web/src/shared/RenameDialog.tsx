import { Button, Modal, TextInput } from "@mantine/core";
import { useState } from "react";

import { useTranslations } from "../i18n";
import classes from "./Dialog.module.css";

interface RenameFormProps {
  /** The current name. */
  name: string;
  label: string;
  /** In characters. */
  maxLength: number;
  onRename: (name: string) => void;
  onClose: () => void;
}

interface Props extends RenameFormProps {
  opened: boolean;
  title: string;
}

/** Asks for a new name. */
export function RenameDialog({ opened, title, ...form }: Props) {
  const t = useTranslations();
  return (
    <Modal
      opened={opened}
      onClose={form.onClose}
      title={title}
      centered
      lockScroll={false}
      closeButtonProps={{ "aria-label": t.close }}
    >
      <RenameForm {...form} />
    </Modal>
  );
}

/** Mounted with every opening, so that it starts with the current name. */
function RenameForm({ name, label, maxLength, onRename, onClose }: RenameFormProps) {
  const t = useTranslations();
  const [draft, setDraft] = useState(name);
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        onClose();
        onRename(draft.trim());
      }}
    >
      <TextInput
        data-autofocus
        label={label}
        maxLength={maxLength}
        value={draft}
        onChange={(event) => setDraft(event.currentTarget.value)}
      />
      <div className={classes.buttons}>
        <Button variant="default" onClick={onClose}>
          {t.cancel}
        </Button>
        <Button type="submit" disabled={draft.trim() === ""}>
          {t.save}
        </Button>
      </div>
    </form>
  );
}
