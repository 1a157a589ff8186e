import { Button } from "@mantine/core";
import { IconFileMusic, IconUpload } from "@tabler/icons-react";
import { useRef, useState, type DragEvent } from "react";

import { useTranslations } from "../../i18n";
import classes from "./AddVoice.module.css";
import { RecordingPreview } from "./RecordingPreview";

/** A recording to be uploaded. */
export interface SelectedFile {
  file: Blob;
  name: string;
}

/** Ten minutes in all but uncompressed high-rate formats; the server has its own limit. */
const MAX_BYTES = 120 * 1024 * 1024;

interface Props {
  selected: SelectedFile | null;
  onSelect: (selected: SelectedFile | null) => void;
}

/** Selects a file by drag and drop or by a dialog. */
export function DropFile({ selected, onSelect }: Props) {
  const labels = useTranslations().clonedVoices;
  const input = useRef<HTMLInputElement>(null);
  const [over, setOver] = useState(false);
  const [tooBig, setTooBig] = useState(false);
  const take = (file: File | undefined) => {
    if (!file) return;
    setTooBig(file.size > MAX_BYTES);
    onSelect(file.size > MAX_BYTES ? null : { file, name: file.name });
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
      {selected ? <IconFileMusic size={26} stroke={1.5} aria-hidden="true" /> : <IconUpload size={26} stroke={1.5} aria-hidden="true" />}
      <p>{selected ? selected.name : labels.drop}</p>
      {selected ? <RecordingPreview sound={selected.file} /> : <small>{labels.dropHint}</small>}
      <input
        ref={input}
        type="file"
        accept="audio/*,video/mp4,video/webm"
        hidden
        aria-label={labels.choose}
        onChange={(event) => {
          take(event.currentTarget.files?.[0]);
          event.currentTarget.value = ""; // the same file may be chosen again
        }}
      />
      <Button variant="default" size="xs" onClick={() => input.current?.click()}>
        {selected ? labels.another : labels.choose}
      </Button>
      {tooBig && (
        <p className={classes.error} role="alert">
          {labels.tooBig}
        </p>
      )}
    </div>
  );
}
