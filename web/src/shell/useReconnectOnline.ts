import { useEffect } from "react";

import { client } from "../shared/client";

/** Probe the server when the page opens and when the network comes or goes; hang up when the page closes. */
export function useReconnectOnline(): void {
  useEffect(() => {
    const online = () => {
      client.retry();
      void client.probeServer();
    };
    const offline = () => void client.probeServer();
    const hangUp = () => client.hangUp(); // or the server would keep the session's place for a while
    void client.probeServer();
    window.addEventListener("online", online);
    window.addEventListener("offline", offline);
    window.addEventListener("pagehide", hangUp);
    return () => {
      window.removeEventListener("online", online);
      window.removeEventListener("offline", offline);
      window.removeEventListener("pagehide", hangUp);
    };
  }, []);
}
