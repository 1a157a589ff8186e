import type { Me } from "../api/me";

export const ME: Me = {
  id: "person_1",
  name: "小美",
  role: "member",
  via: "key",
  keeping: { keep: true, retention_days: 30, voice_retention_days: 0 },
  notice: { version: "1", accepted: false },
};

/** A server with one account. */
export class FakeServer {
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
