import { useEffect, useState } from "react";

import { useTranslations } from "../../i18n";
import classes from "./AddVoice.module.css";

/** Plays a selected or recorded file before it is uploaded; empty if the browser cannot play it. */
export function RecordingPreview({ sound }: { sound: Blob }) {
  const labels = useTranslations().clonedVoices;
  const [url, setUrl] = useState("");
  const [unplayable, setUnplayable] = useState(false);
  useEffect(() => {
    const objectUrl = URL.createObjectURL(sound);
    setUrl(objectUrl);
    setUnplayable(false);
    return () => URL.revokeObjectURL(objectUrl);
  }, [sound]);
  if (unplayable || url === "") return null;
  return <audio className={classes.preview} controls src={url} aria-label={labels.listen} onError={() => setUnplayable(true)} />;
}
