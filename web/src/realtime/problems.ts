/** Problems that prevent a conversation; each has a text in both languages. */
export type Problem =
  | "insecure" // browsers allow no microphone on pages from plain http
  | "denied"
  | "no-microphone"
  | "microphone-busy"
  | "microphone-lost"
  | "unsupported"
  | "loading"
  | "full"
  | "offline"
  | "key"
  | "revoked" // the key was revoked while it was in use
  | "in-use"
  | "limited"
  | "failed";

/** The problem for an error thrown by `getUserMedia`. */
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

/** Reason with which the server closes the sessions of a revoked key. */
export const KEY_REVOKED = "key_revoked";

/** The problem for an error code of the protocol; null: it is no lasting state. */
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
