import { useClient } from "../../app/client";
import { useWords } from "../../i18n";
import type { Words } from "../../i18n/words";
import type { Connection } from "../../realtime/link";
import classes from "./StatusLine.module.css";

const NAMES = { webrtc: "WebRTC", websocket: "WebSocket" };

function told(connection: Connection, words: Words["status"]): string {
  switch (connection.kind) {
    case "open":
      return words.open(NAMES[connection.transport]);
    case "waiting":
      return words.waiting(connection.place);
    default:
      return words[connection.kind];
  }
}

/** Whether there is a connection, and by which transport. */
export function StatusLine() {
  const words = useWords();
  const { connection } = useClient();
  const transport = connection.kind === "open" ? connection.transport : undefined;
  return (
    <p
      className={classes.line}
      role="status"
      aria-label={words.status.label}
      data-kind={connection.kind}
      data-transport={transport}
    >
      <span className={classes.dot} aria-hidden="true" />
      <span className={classes.text}>{told(connection, words.status)}</span>
    </p>
  );
}
