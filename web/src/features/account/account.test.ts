import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import type { Me } from "../../api/me";
import { enAccount, zhAccount } from "../../i18n/account";
import { sizeOf } from "./size";

const ME: Me = {
  id: "person_1",
  name: "小美",
  role: "member",
  via: "key",
  keeping: { keep: true, retention_days: 30, voice_retention_days: 0 },
  notice: { version: "1", accepted: false },
};

/** A server that knows one person. */
class Server {
  me: Me | null = ME;
  ready = true;
  asked: string[] = [];
  away = false;

  fetch = async (path: string, init: RequestInit = {}): Promise<Response> => {
    this.asked.push(`${init.method ?? "GET"} ${path}`);
    if (this.away) throw new TypeError("Failed to fetch");
    if (path === "/api/status") return Response.json({ status: this.ready ? "ready" : "loading" });
    if (this.me === null) return Response.json({}, { status: 404 });
    if (path === "/api/me/notice") this.me = { ...this.me, notice: { ...this.me.notice, accepted: true } };
    return Response.json(this.me);
  };
}

let server: Server;

async function page() {
  vi.resetModules();
  return { ...(await import("../../app/notice")), ...(await import("../../app/identity")) };
}

beforeEach(() => {
  server = new Server();
  vi.stubGlobal("fetch", server.fetch);
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("the question before the first recording", () => {
  it("is asked once, and a yes reaches the server before anything begins", async () => {
    const { permit, acceptOpenNotice } = await page();
    let answered = 0;
    const both = Promise.all([permit(), permit()]).then((got) => {
      answered += 1;
      return got;
    });
    await vi.advanceTimersByTimeAsync(10);
    expect(answered).toBe(0);
    await acceptOpenNotice();
    expect(await both).toEqual([true, true]);
    expect(server.asked.filter((one) => one.startsWith("POST"))).toEqual(["POST /api/me/notice"]);
    expect(await permit()).toBe(true);
    expect(server.asked).toHaveLength(3); // nothing more was asked for
  });

  it("that is answered with no is asked again the next time", async () => {
    const { permit, refuseNotice, acceptOpenNotice } = await page();
    for (const yes of [false, true]) {
      const answer = permit();
      await vi.advanceTimersByTimeAsync(10);
      if (yes) await acceptOpenNotice();
      else refuseNotice();
      expect(await answer).toBe(yes);
    }
  });

  it("stays open where the yes does not reach the server", async () => {
    const { permit, acceptOpenNotice } = await page();
    const answer = permit();
    await vi.advanceTimersByTimeAsync(10);
    server.away = true;
    await expect(acceptOpenNotice()).rejects.toThrow();
    server.away = false;
    await acceptOpenNotice();
    expect(await answer).toBe(true);
  });

  it("is not asked where nothing is kept, or where the server does not tell people apart", async () => {
    server.me = { ...ME, keeping: { ...ME.keeping, keep: false } };
    expect(await (await page()).permit()).toBe(true);
    server.me = null;
    expect(await (await page()).permit()).toBe(true);
  });

  it("waits for a server that is loading or away: nothing is recorded that nobody was asked about", async () => {
    const { permit, acceptOpenNotice } = await page();
    server.ready = false;
    let answered = false;
    const answer = permit().then((yes) => {
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
    await acceptOpenNotice();
    expect(await answer).toBe(true);
  });
});

it("what is known of one person is never told of the next", async () => {
  const { whoAmI, forgetWho } = await page();
  expect((await whoAmI())?.name).toBe("小美");
  forgetWho();
  server.me = { ...ME, name: "阿明" };
  expect((await whoAmI())?.name).toBe("阿明");
});

it("how long something is kept is told in words, in both languages", () => {
  expect(zhAccount.notice.long(0)).toContain("直到");
  expect(zhAccount.notice.long(30)).toContain("30 天");
  expect(zhAccount.mine.kept(0.5)).toContain("12 小時");
  expect(enAccount.notice.long(0)).toContain("until");
  expect(enAccount.notice.long(1)).toContain("1 day and");
  expect(enAccount.mine.voicesKept(2)).toContain("2 days");
  expect(enAccount.mine.counted(1, 0)).toBe("1 conversation and 0 voices were deleted.");
});

it("sizes are told as people read them", () => {
  expect([0, 999, 1_500, 2_340_000, 7_100_000_000].map(sizeOf)).toEqual(["0 B", "999 B", "2 kB", "2.3 MB", "7.1 GB"]);
});
