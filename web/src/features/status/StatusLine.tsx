import { useTranslations } from "../../i18n";
import type { Translations } from "../../i18n/translations";
import type { ConnectionState } from "../../realtime/connectionManager";
import { useClient } from "../../shared/client";
import classes from "./StatusLine.module.css";

const TRANSPORT_NAMES = { webrtc: "WebRTC", websocket: "WebSocket" };

function statusText(connection: ConnectionState, t: Translations["status"]): string {
  switch (connection.kind) {
    case "open":
      return t.open(TRANSPORT_NAMES[connection.transport]);
    case "waiting":
      return t.waiting(connection.place);
    default:
      return t[connection.kind];
  }
}

/** State and transport of the connection. */
export function StatusLine() {
  const t = useTranslations();
  const { connection } = useClient();
  const transport = connection.kind === "open" ? connection.transport : undefined;
  return (
    <p
      className={classes.line}
      role="status"
      aria-label={t.status.label}
      data-kind={connection.kind}
      data-transport={transport}
    >
      <span className={classes.dot} aria-hidden="true" />
      <span className={classes.text}>{statusText(connection, t.status)}</span>
    </p>
  );
}
