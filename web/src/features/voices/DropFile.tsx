import { Button } from "@mantine/core";
import { IconFileMusic, IconUpload } from "@tabler/icons-react";
import { useRef, useState, type DragEvent } from "react";

import { useWords } from "../../i18n";
import classes from "./AddVoice.module.css";
import { Preview } from "./Preview";

/** A recording that is to be sent. */
export interface Chosen {
  file: Blob;
  name: string;
}

/** Ten minutes in any format but the most wasteful; the server has the last word. */
const MOST_BYTES = 120 * 1024 * 1024;

interface Props {
  chosen: Chosen | null;
  onChosen: (chosen: Chosen | null) => void;
}

/** A file from this device, dropped or chosen. */
export function DropFile({ chosen, onChosen }: Props) {
  const own = useWords().own;
  const input = useRef<HTMLInputElement>(null);
  const [over, setOver] = useState(false);
  const [tooBig, setTooBig] = useState(false);
  const take = (file: File | undefined) => {
    if (!file) return;
    setTooBig(file.size > MOST_BYTES);
    onChosen(file.size > MOST_BYTES ? null : { file, name: file.name });
  };
  const drop = {
    onDragOver: (event: DragEvent) => {
      event.preventDefault();
      setOver(true);
    },
    onDragLeave: () => setOver(false),
    onDrop: (event: DragEvent) => {
      event.preventDefault();
      setOver(false);
      take(event.dataTransfer.files[0]);
    },
  };
  return (
    <div className={classes.drop} data-over={over || undefined} data-drop {...drop}>
      {chosen ? <IconFileMusic size={26} stroke={1.5} aria-hidden="true" /> : <IconUpload size={26} stroke={1.5} aria-hidden="true" />}
      <p>{chosen ? chosen.name : own.drop}</p>
      {chosen ? <Preview sound={chosen.file} /> : <small>{own.dropHint}</small>}
      <input
        ref={input}
        type="file"
        accept="audio/*,video/mp4,video/webm"
        hidden
        aria-label={own.choose}
        onChange={(event) => {
          take(event.currentTarget.files?.[0]);
          event.currentTarget.value = ""; // the same file may be chosen again
        }}
      />
      <Button variant="default" size="xs" onClick={() => input.current?.click()}>
        {chosen ? own.another : own.choose}
      </Button>
      {tooBig && (
        <p className={classes.error} role="alert">
          {own.tooBig}
        </p>
      )}
    </div>
  );
}
