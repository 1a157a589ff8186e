import { IconHandStop } from "@tabler/icons-react";

import { useWords } from "../../i18n";
import { clauseAt, spans } from "../../realtime/clauses";
import type { Line } from "../../realtime/session";
import type { Position } from "../../realtime/transport";
import { Dots } from "./Dots";
import classes from "./ReplyText.module.css";

interface Props {
  line: Line;
  position: Position | null;
}

/** A reply: what is being spoken stands out, what was never heard steps back. */
export function ReplyText({ line, position }: Props) {
  const words = useWords();
  if (line.text === "") {
    if (line.status === "writing") return <Dots />;
    return line.failure ? null : <em>{line.status === "failed" ? words.line.failed : words.line.silent}</em>;
  }
  if (line.heardText !== null) return <Interrupted line={line} heard={line.heardText} />;
  const current = position ? clauseAt(line.clauses, position.ms) : -1;
  const places = spans(line.text, line.clauses);
  const place = current < 0 ? undefined : places[current];
  const over = position?.silent && line.status !== "writing";
  if (place === undefined || over) return <>{line.text}</>;
  return (
    <>
      {line.text.slice(0, place.start)}
      <mark className={classes.spoken} data-spoken>
        {line.text.slice(place.start, place.end)}
      </mark>
      <span className={classes.coming}>{line.text.slice(place.end)}</span>
    </>
  );
}

function Interrupted({ line, heard }: { line: Line; heard: string }) {
  const words = useWords();
  const at = line.text.startsWith(heard) ? heard.length : 0;
  const rest = line.text.slice(at);
  return (
    <>
      {line.text.slice(0, at)}
      {rest && (
        <>
          <span className={classes.cut} title={words.line.interruptedNote} role="img" aria-label={words.line.interruptedNote}>
            <IconHandStop size="1em" stroke={1.8} />
          </span>
          <span className={classes.unheard}>{rest}</span>
        </>
      )}
    </>
  );
}
