import { IconHandStop } from "@tabler/icons-react";

import { useTranslations } from "../../i18n";
import { clauseIndexAt, clauseSpans } from "../../realtime/clauses";
import type { Message } from "../../realtime/session";
import type { PlaybackPosition } from "../../realtime/transport";
import classes from "./ReplyText.module.css";
import { TypingIndicator } from "./TypingIndicator";

interface Props {
  message: Message;
  position: PlaybackPosition | null;
}

/** Text of a reply: highlights the clause that is playing, dims what was not heard. */
export function ReplyText({ message, position }: Props) {
  const t = useTranslations();
  if (message.text === "") {
    if (message.status === "writing") return <TypingIndicator />;
    return message.failure ? null : <em>{message.status === "failed" ? t.message.failed : t.message.silent}</em>;
  }
  if (message.heardText !== null) return <Interrupted message={message} heard={message.heardText} />;
  const current = position ? clauseIndexAt(message.clauses, position.ms) : -1;
  const places = clauseSpans(message.text, message.clauses);
  const place = current < 0 ? undefined : places[current];
  const over = position?.silent && message.status !== "writing";
  if (place === undefined || over) return <>{message.text}</>;
  return (
    <>
      {message.text.slice(0, place.start)}
      <mark className={classes.spoken} data-spoken>
        {message.text.slice(place.start, place.end)}
      </mark>
      <span className={classes.coming}>{message.text.slice(place.end)}</span>
    </>
  );
}

function Interrupted({ message, heard }: { message: Message; heard: string }) {
  const t = useTranslations();
  const at = message.text.startsWith(heard) ? heard.length : 0;
  const rest = message.text.slice(at);
  return (
    <>
      {message.text.slice(0, at)}
      {rest && (
        <>
          <span className={classes.cut} title={t.message.interruptedNote} role="img" aria-label={t.message.interruptedNote}>
            <IconHandStop size="1em" stroke={1.8} />
          </span>
          <span className={classes.unheard}>{rest}</span>
        </>
      )}
    </>
  );
}
