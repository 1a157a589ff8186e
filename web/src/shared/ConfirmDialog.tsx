import { Button, Modal } from "@mantine/core";

import { useTranslations } from "../i18n";
import classes from "./Dialog.module.css";

interface Props {
  opened: boolean;
  title: string;
  /** What will be deleted. */
  body: string;
  /** Label of the confirming button. */
  action: string;
  onConfirm: () => void;
  onClose: () => void;
}

/** Asks for confirmation of an action that cannot be undone. */
export function ConfirmDialog({ opened, title, body, action, onConfirm, onClose }: Props) {
  const t = useTranslations();
  return (
    <Modal
      opened={opened}
      onClose={onClose}
      title={title}
      centered
      lockScroll={false}
      closeButtonProps={{ "aria-label": t.close }}
    >
      <p className={classes.body}>{body}</p>
      <div className={classes.buttons}>
        <Button variant="default" onClick={onClose} data-autofocus>
          {t.cancel}
        </Button>
        <Button
          color="red.9"
          onClick={() => {
            onClose();
            onConfirm();
          }}
        >
          {action}
        </Button>
      </div>
    </Modal>
  );
}
