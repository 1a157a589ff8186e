import { describe, expect, it } from "vitest";

import { microphoneProblem, protocolProblem } from "./problems";

describe("problems", () => {
  it("distinguish the errors of a microphone", () => {
    const because = (name: string) => microphoneProblem(new DOMException("", name), true);
    expect(because("NotAllowedError")).toBe("denied");
    expect(because("NotFoundError")).toBe("no-microphone");
    expect(because("NotReadableError")).toBe("microphone-busy");
    expect(because("Whatever")).toBe("unsupported");
    expect(microphoneProblem(new DOMException("", "NotAllowedError"), false)).toBe("insecure");
  });

  it("know the server's error codes that are lasting states", () => {
    expect(protocolProblem("too_many_sessions")).toBe("full");
    expect(protocolProblem("session_taken_over")).toBe("in-use");
    expect(protocolProblem("invalid_value")).toBeNull();
    expect(protocolProblem(null)).toBeNull();
  });
});
