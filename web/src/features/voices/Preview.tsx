import { useEffect, useState } from "react";

import { useWords } from "../../i18n";
import classes from "./AddVoice.module.css";

/** What was chosen or recorded, to be heard before it is sent; nothing where the browser cannot play it. */
export function Preview({ sound }: { sound: Blob }) {
  const own = useWords().own;
  const [url, setUrl] = useState("");
  const [mute, setMute] = useState(false);
  useEffect(() => {
    const made = URL.createObjectURL(sound);
    setUrl(made);
    setMute(false);
    return () => URL.revokeObjectURL(made);
  }, [sound]);
  if (mute || url === "") return null;
  return <audio className={classes.preview} controls src={url} aria-label={own.listen} onError={() => setMute(true)} />;
}
