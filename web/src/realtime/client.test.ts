import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { RealtimeClient } from "./client";
import type { Wishes } from "./commands";
import type { Found } from "./outfit";
import type { ClientEvent, ServerEvent } from "./protocol";
import type { Call, Transport, TransportKind } from "./transport";

vi.mock("./sound", () => ({ wakeSound: () => undefined, Meter: { ofStream: () => ({ level: () => 0, close: () => undefined }) } }));

/** A server at the other end of whatever carries it. */
class Line implements Transport {
  sent: ClientEvent[] = [];
  muted = true;
  open = true;
  hushed = 0;

  constructor(
    readonly kind: TransportKind,
    readonly call: Call,
  ) {}

  level = () => 0;
  position = () => null;
  send = (event: ClientEvent) => void this.sent.push(event);
  listen = () => undefined;
  mute = (muted: boolean) => void (this.muted = muted);
  hush = () => void (this.hushed += 1);
  close = () => void (this.open = false);

  say(event: ServerEvent): void {
    this.call.caller.event(event);
  }

  greet(id = "sess_1"): void {
    this.say({ type: "session.created", session: { id } });
  }

  drop(code = 1006): void {
    this.call.caller.closed(code);
  }

  get kinds(): string[] {
    return this.sent.map((event) => event.type);
  }
}

const WISHES: Wishes = {
  mode: "hands-free",
  transport: "auto",
  voice: "",
  speed: 1,
  language: "auto",
  microphone: "",
  swap: true,
};

function house(given: { wishes?: Partial<Wishes>; refuse?: TransportKind[]; permit?: () => Promise<boolean> } = {}) {
  const lines: Line[] = [];
  const refuse = new Set(given.refuse ?? []);
  const found: Found = { problem: null, iceServers: [], webrtc: true };
  const dial = (kind: TransportKind) => async (call: Call) => {
    if (refuse.has(kind)) throw new Error("no");
    const line = new Line(kind, call);
    lines.push(line);
    return line;
  };
  const client = new RealtimeClient({
    dials: { webrtc: dial("webrtc"), websocket: dial("websocket") },
    probe: async () => found,
    wishes: () => ({ ...WISHES, ...given.wishes }),
    key: () => "",
    person: () => null,
    permit: given.permit ?? (async () => true),
    load: () => Promise.reject(new Error("there is no sound here")),
  });
  const latest = () => lines.at(-1) as Line;
  const state = () => client.snapshot();
  return { client, lines, latest, refuse, found, state };
}

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

describe("connecting", () => {
  it("takes WebRTC, and says how it wants to talk before what was waiting", async () => {
    const { client, latest, state } = house({ wishes: { voice: "zf", speed: 1.2 } });
    await client.type("你好");
    expect(state().connection.kind).toBe("connecting");
    expect(latest().sent).toEqual([]);
    latest().greet();
    expect(state().connection).toEqual({ kind: "open", transport: "webrtc" });
    expect(latest().kinds).toEqual([
      "session.update",
      "session.update",
      "session.update",
      "conversation.item.create",
      "response.create",
    ]);
    expect(state().session.lines).toMatchObject([{ text: "你好", typed: true }]);
  });

  it("tells of a change before the next message, whoever made it", async () => {
    const wishes: Partial<Wishes> = { voice: "zf" };
    const { client, latest } = house({ wishes });
    await client.type("一");
    latest().greet();
    latest().sent = [];
    await client.type("二");
    expect(latest().kinds).not.toContain("session.update");
    latest().sent = [];
    wishes.speed = 1.1; // as a slider that is still held
    await client.type("三");
    const [first, second] = latest().sent;
    expect(first).toMatchObject({ type: "session.update", session: { audio: { output: { speed: 1.1 } } } });
    expect(second).toMatchObject({ type: "session.update", session: { audio: { output: { voice: "zf" } } } });
    expect(latest().kinds.slice(2)).toEqual(["conversation.item.create", "response.create"]);
  });

  it("falls back to WebSocket, and stays there", async () => {
    const { client, latest, refuse, lines } = house({ refuse: ["webrtc"] });
    await client.type("一");
    latest().greet();
    expect(latest().kind).toBe("websocket");
    refuse.clear();
    latest().drop();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(lines.map((line) => line.kind)).toEqual(["websocket", "websocket"]);
  });

  it("goes back to WebRTC where the WebSocket was only ever wished for", async () => {
    const wishes: Partial<Wishes> = { transport: "websocket" };
    const { client, latest } = house({ wishes });
    await client.type("一");
    latest().greet();
    expect(latest().kind).toBe("websocket");
    wishes.transport = "auto";
    latest().drop();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(latest().kind).toBe("webrtc");
  });

  it("shows the place in the queue", async () => {
    const { client, latest, state } = house();
    await client.type("一");
    latest().say({ type: "kuaimei.queue", place: 3 });
    expect(state().connection).toEqual({ kind: "waiting", place: 3 });
    latest().greet();
    expect(state().connection.kind).toBe("open");
  });
});

describe("a connection that ends", () => {
  it("is taken up again, as the same session, which it takes over", async () => {
    const { client, latest, lines, state } = house();
    await client.type("一");
    latest().greet("sess_7");
    expect(lines[0]?.call).toMatchObject({ session: null, takeover: false });
    latest().drop();
    expect(state().connection.kind).toBe("reconnecting");
    expect(state().problem).toBe("offline");
    await vi.advanceTimersByTimeAsync(600);
    expect(latest().call).toMatchObject({ session: "sess_7", takeover: true });
    latest().greet("sess_7");
    expect(state().problem).toBeNull();
    expect(state().session.lines).toHaveLength(1);
  });

  it("rests where nothing was said for long", async () => {
    const { client, latest, lines, state } = house();
    await client.type("一");
    latest().greet();
    latest().drop(1000);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(lines).toHaveLength(1);
    expect(state()).toMatchObject({ connection: { kind: "idle" }, problem: null });
  });

  it("is not fought for with another page", async () => {
    const { client, latest, lines, state } = house();
    await client.type("一");
    latest().greet();
    latest().say({ type: "error", error: { code: "session_taken_over", message: "elsewhere" } });
    latest().drop(1008);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(lines).toHaveLength(1);
    expect(state()).toMatchObject({ connection: { kind: "idle" }, problem: "in-use" });
    await client.takeOver();
    expect(latest().call).toMatchObject({ session: "sess_1", takeover: true });
  });

  it("begins anew where nothing had been kept", async () => {
    const { client, latest } = house();
    await client.type("一");
    latest().greet();
    latest().say({ type: "error", error: { code: "session_not_found", message: "gone" } });
    latest().drop(1008);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(latest().call.session).toBeNull();
  });

  it("is never answered by a late event of the old one", async () => {
    const { client, lines, latest, state } = house();
    await client.type("一");
    latest().greet();
    latest().drop();
    await vi.advanceTimersByTimeAsync(1_000);
    latest().greet();
    lines[0]?.say({ type: "kuaimei.caption", turn: 9, item_id: "old", text: "舊的" });
    lines[0]?.drop();
    expect(state().connection.kind).toBe("open");
    expect(state().session.lines).toHaveLength(1);
  });
});

describe("answers", () => {
  it("are asked for again while the last one is still ending", async () => {
    const { client, latest, state } = house();
    await client.type("一");
    latest().greet();
    latest().sent = [];
    latest().say({ type: "error", error: { code: "conversation_already_has_active_response", message: "busy" } });
    await vi.advanceTimersByTimeAsync(200);
    expect(latest().kinds).toEqual(["response.create"]);
    expect(state().session.error).toBeNull();
  });

  it("are stopped at once by other words", async () => {
    const { client, latest } = house();
    await client.type("一");
    latest().greet();
    latest().say({ type: "response.created", response: { id: "r" } });
    latest().sent = [];
    await client.type("二");
    expect(latest().hushed).toBe(1);
    expect(latest().kinds).toEqual(["response.cancel", "conversation.item.create", "response.create"]);
  });

  it("to words that were taken back are taken back too", async () => {
    const { client, latest, state } = house();
    await client.type("一");
    latest().greet();
    latest().say({ type: "response.output_item.added", response_id: "r", item: { id: "a", type: "message" } });
    latest().say({ type: "response.done", response: { id: "r", status: "completed" } });
    const line = state().session.lines[0];
    latest().sent = [];
    if (line) await client.retype(line, "二");
    expect(latest().sent.filter((e) => e.type === "conversation.item.delete").map((e) => e["item_id"])).toEqual([
      line?.id,
      "a",
    ]);
    expect(state().session.lines.map((one) => one.text)).toEqual(["二"]);
  });
});

describe("errors", () => {
  it("of expected kinds are nobody's business, others are told", async () => {
    const { client, latest, state } = house();
    await client.type("一");
    latest().greet();
    latest().say({ type: "error", error: { code: "voice_not_found", message: "x", event_id: "quiet_voice" } });
    expect(state().session.error).toBeNull();
    latest().say({ type: "error", error: { code: "internal", message: "broken" } });
    expect(state().session.error?.message).toBe("broken");
    client.dismiss();
    expect(state().session.error).toBeNull();
    latest().say({ type: "error", error: { code: "rate_limit_exceeded", message: "slow" } });
    expect(state().problem).toBe("limited");
  });
});

describe("looking for the server", () => {
  it("tells that it is loading until it is not", async () => {
    const { client, found, state } = house();
    const happened: string[] = [];
    client.watch((event) => happened.push(event.type));
    found.problem = "loading";
    await client.look();
    expect(state().problem).toBe("loading");
    found.problem = null;
    await vi.advanceTimersByTimeAsync(2_000);
    expect(state().problem).toBeNull();
    expect(happened).toEqual(["local.ready"]);
  });
});

describe("a permission", () => {
  function asked() {
    let answer: (yes: boolean) => void = () => undefined;
    const given = house({ permit: () => new Promise<boolean>((resolve) => (answer = resolve)) });
    return { ...given, answer: (yes: boolean) => answer(yes) };
  }

  it("is waited for before anything typed leaves the page, which shows it", async () => {
    const { client, lines, latest, state, answer } = asked();
    const typed = client.type("一");
    await vi.advanceTimersByTimeAsync(60_000);
    expect(state()).toMatchObject({ asking: true, connection: { kind: "idle" }, session: { lines: [{ text: "一" }] } });
    expect(lines).toEqual([]);
    answer(true);
    expect(await typed).toBe(true);
    latest().greet();
    expect(latest().kinds.slice(-2)).toEqual(["conversation.item.create", "response.create"]);
    expect(state().asking).toBe(false);
  });

  it("that is not given takes back what was typed, and sends it never", async () => {
    const { client, lines, state, answer, latest } = asked();
    const first = client.type("一");
    answer(false);
    expect(await first).toBe(false);
    expect(state()).toMatchObject({ asking: false, session: { lines: [] } });
    expect(lines).toEqual([]);
    const second = client.type("二");
    answer(true);
    await second;
    latest().greet();
    expect(JSON.stringify(latest().sent)).not.toContain("一");
  });

  it("is asked for before the microphone, which stays off without", async () => {
    const opened = vi.fn();
    vi.stubGlobal("window", { isSecureContext: true });
    vi.stubGlobal("navigator", { mediaDevices: { getUserMedia: opened } });
    try {
      const { client, state, answer } = asked();
      const talking = client.talk();
      void client.talk(); // an impatient finger asks no second time
      expect(state().asking).toBe(true);
      answer(false);
      await talking;
      expect(opened).not.toHaveBeenCalled();
      expect(state()).toMatchObject({ talking: false, asking: false, problem: null });
    } finally {
      vi.unstubAllGlobals();
    }
  });

  it("given by somebody who has left by then is nobody's", async () => {
    const { client, lines, state, answer } = asked();
    const typed = client.type("一");
    client.forget();
    answer(true);
    expect(await typed).toBe(false);
    expect(lines).toEqual([]);
    expect(state().session.lines).toEqual([]);
  });
});

describe("leaving", () => {
  it("ends the connection and forgets everything, and nothing comes back by itself", async () => {
    const { client, lines, latest, state } = house();
    await client.type("祕密");
    latest().greet("sess_9");
    client.forget();
    expect(latest().open).toBe(false);
    expect(state()).toEqual(house().state());
    latest().drop();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(lines).toHaveLength(1);
    await client.type("你好");
    expect(latest().call).toMatchObject({ session: null, takeover: false });
  });

  it("leaves no answer for whoever comes next", async () => {
    const { client, found, state } = house();
    found.problem = "key";
    const looking = client.look();
    client.forget();
    await looking;
    expect(state().problem).toBeNull();
  });

  it("is told from a key that was taken away, and is not fought", async () => {
    const { client, latest, lines, state } = house();
    await client.type("一");
    latest().greet();
    latest().call.caller.closed(1008, "key_revoked");
    expect(state()).toMatchObject({ problem: "revoked", connection: { kind: "idle" } });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(lines).toHaveLength(1);
  });
});
