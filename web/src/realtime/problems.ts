/** What keeps somebody from talking; each has a sentence in both languages, and what to do. */
export type Problem =
  | "insecure" // browsers give no microphone to a page that came over plain http
  | "denied"
  | "no-microphone"
  | "microphone-busy"
  | "microphone-lost"
  | "unsupported"
  | "loading"
  | "full"
  | "offline"
  | "key"
  | "revoked" // the key was taken away while it was in use
  | "in-use"
  | "limited"
  | "failed";

/** Why there is no microphone, from what `getUserMedia` threw. */
export function microphoneProblem(error: unknown, secure: boolean): Problem {
  if (!secure) return "insecure";
  const name = error instanceof Error || error instanceof DOMException ? error.name : "";
  switch (name) {
    case "NotAllowedError":
    case "SecurityError":
      return "denied";
    case "NotFoundError":
    case "OverconstrainedError":
      return "no-microphone";
    case "NotReadableError":
    case "AbortError":
      return "microphone-busy";
    default:
      return "unsupported";
  }
}

/** Reason with which the server closes the sessions of a key that was taken away. */
export const KEY_REVOKED = "key_revoked";

/** What an error of the protocol means for the person, if it stands for a state of its own. */
export function protocolProblem(code: string | null | undefined): Problem | null {
  switch (code) {
    case "too_many_sessions":
    case "queue_full":
      return "full";
    case "session_in_use":
    case "session_taken_over":
      return "in-use";
    case "invalid_api_key":
      return "key";
    case KEY_REVOKED:
      return "revoked";
    case "rate_limit_exceeded":
      return "limited";
    default:
      return null;
  }
}
