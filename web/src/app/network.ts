import { useEffect } from "react";

import { client } from "./client";

/** Look for the server when the page opens, and again when the network comes back. */
export function useNetwork(): void {
  useEffect(() => {
    const online = () => {
      client.retry();
      void client.look();
    };
    const offline = () => void client.look();
    const leave = () => client.hangUp(); // or the server would keep the place for a while
    void client.look();
    window.addEventListener("online", online);
    window.addEventListener("offline", offline);
    window.addEventListener("pagehide", leave);
    return () => {
      window.removeEventListener("online", online);
      window.removeEventListener("offline", offline);
      window.removeEventListener("pagehide", leave);
    };
  }, []);
}
