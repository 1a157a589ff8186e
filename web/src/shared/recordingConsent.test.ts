import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

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

/** The module as it is right after the page was loaded. */
async function page() {
  vi.resetModules();
  return import("./recordingConsent");
}

describe("the consent before the first recording", () => {
  it("is asked for once, and the server is told before anything begins", async () => {
    const { requestConsent, giveConsent } = await page();
    let answered = 0;
    const both = Promise.all([requestConsent(), requestConsent()]).then((got) => {
      answered += 1;
      return got;
    });
    await vi.advanceTimersByTimeAsync(10);
    expect(answered).toBe(0);
    await giveConsent();
    expect(await both).toEqual([true, true]);
    expect(server.asked.filter((one) => one.startsWith("POST"))).toEqual(["POST /api/me/notice"]);
    expect(await requestConsent()).toBe(true);
    expect(server.asked).toHaveLength(3); // no further request
  });

  it("is asked for again after it was refused", async () => {
    const { requestConsent, refuseConsent, giveConsent } = await page();
    for (const yes of [false, true]) {
      const answer = requestConsent();
      await vi.advanceTimersByTimeAsync(10);
      if (yes) await giveConsent();
      else refuseConsent();
      expect(await answer).toBe(yes);
    }
  });

  it("stays open if the answer does not reach the server", async () => {
    const { requestConsent, giveConsent } = await page();
    const answer = requestConsent();
    await vi.advanceTimersByTimeAsync(10);
    server.away = true;
    await expect(giveConsent()).rejects.toThrow();
    server.away = false;
    await giveConsent();
    expect(await answer).toBe(true);
  });

  it("is not asked for where nothing is stored, or where the server has no accounts", async () => {
    server.me = { ...ME, keeping: { ...ME.keeping, keep: false } };
    expect(await (await page()).requestConsent()).toBe(true);
    server.me = null;
    expect(await (await page()).requestConsent()).toBe(true);
  });

  it("waits for a server that is loading or unreachable: nothing is recorded before", async () => {
    const { requestConsent, giveConsent } = await page();
    server.ready = false;
    let answered = false;
    const answer = requestConsent().then((yes) => {
      answered = true;
      return yes;
    });
    await vi.advanceTimersByTimeAsync(5_000);
    server.away = true;
    await vi.advanceTimersByTimeAsync(5_000);
    expect(server.asked).not.toContain("GET /api/me");
    server.away = false;
    server.ready = true;
    await vi.advanceTimersByTimeAsync(5_000);
    expect(answered).toBe(false);
    await giveConsent();
    expect(await answer).toBe(true);
  });
});
