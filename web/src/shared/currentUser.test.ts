import { afterEach, beforeEach, expect, it, vi } from "vitest";

import { FakeServer, ME } from "./fakeServer.fixture";

let server: FakeServer;

beforeEach(() => {
  server = new FakeServer();
  vi.stubGlobal("fetch", server.fetch);
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

it("the current user is forgotten before the next one signs in", async () => {
  const { getCurrentUser, clearCurrentUser } = await import("./currentUser");
  expect((await getCurrentUser())?.name).toBe("小美");
  clearCurrentUser();
  server.me = { ...ME, name: "阿明" };
  expect((await getCurrentUser())?.name).toBe("阿明");
});
