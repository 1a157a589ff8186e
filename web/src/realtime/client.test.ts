import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { RealtimeClient } from "./client";
import type { ClientPreferences } from "./clientEvents";
import type { ProbeResult } from "./clientOptions";
import type { ClientEvent, ServerEvent } from "./protocol";
import type { ConnectOptions, Transport, TransportKind } from "./transport";

vi.mock("./audioContext", () => ({
  resumeAudioContexts: () => undefined,
  LevelMeter: { ofStream: () => ({ level: () => 0, close: () => undefined }) },
}));

/** A transport whose server is the test. */
class FakeTransport implements Transport {
  sent: ClientEvent[] = [];
  muted = true;
  open = true;
  stops = 0;

  constructor(
    readonly kind: TransportKind,
    readonly options: ConnectOptions,
  ) {}

  level = () => 0;
  position = () => null;
  send = (event: ClientEvent) => void this.sent.push(event);
  setMicrophone = () => undefined;
  setMuted = (muted: boolean) => void (this.muted = muted);
  stopPlayback = () => void (this.stops += 1);
  close = () => void (this.open = false);

  say(event: ServerEvent): void {
    this.options.events.onEvent(event);
  }

  greet(id = "sess_1"): void {
    this.say({ type: "session.created", session: { id } });
  }

  drop(code = 1006): void {
    this.options.events.onClosed(code);
  }

  get kinds(): string[] {
    return this.sent.map((event) => event.type);
  }
}

const PREFERENCES: ClientPreferences = {
  mode: "hands-free",
  transport: "auto",
  voice: "",
  speed: 1,
  language: "auto",
  microphone: "",
  swap: true,
};

interface Overrides {
  preferences?: Partial<ClientPreferences>;
  refuse?: TransportKind[];
  requestConsent?: () => Promise<boolean>;
}

function setUp(overrides: Overrides = {}) {
  const transports: FakeTransport[] = [];
  const refuse = new Set(overrides.refuse ?? []);
  const probeResult: ProbeResult = { problem: null, iceServers: [], webrtc: true };
  const connect = (kind: TransportKind) => async (options: ConnectOptions) => {
    if (refuse.has(kind)) throw new Error("no");
    const transport = new FakeTransport(kind, options);
    transports.push(transport);
    return transport;
  };
  const client = new RealtimeClient({
    connect: { webrtc: connect("webrtc"), websocket: connect("websocket") },
    probe: async () => probeResult,
    preferences: () => ({ ...PREFERENCES, ...overrides.preferences }),
    apiKey: () => "",
    personId: () => null,
    requestConsent: overrides.requestConsent ?? (async () => true),
    loadAudio: () => Promise.reject(new Error("there is no sound here")),
  });
  const latest = () => transports.at(-1) as FakeTransport;
  const state = () => client.snapshot();
  return { client, transports, latest, refuse, probeResult, state };
}

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

describe("connecting", () => {
  it("uses WebRTC, and sends the settings before the waiting events", async () => {
    const { client, latest, state } = setUp({ preferences: { voice: "zf", speed: 1.2 } });
    await client.sendText("你好");
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
    expect(state().session.messages).toMatchObject([{ text: "你好", typed: true }]);
  });

  it("sends changed settings before the next message", async () => {
    const preferences: Partial<ClientPreferences> = { voice: "zf" };
    const { client, latest } = setUp({ preferences });
    await client.sendText("一");
    latest().greet();
    latest().sent = [];
    await client.sendText("二");
    expect(latest().kinds).not.toContain("session.update");
    latest().sent = [];
    preferences.speed = 1.1; // like a slider that is still being dragged
    await client.sendText("三");
    const [first, second] = latest().sent;
    expect(first).toMatchObject({ type: "session.update", session: { audio: { output: { speed: 1.1 } } } });
    expect(second).toMatchObject({ type: "session.update", session: { audio: { output: { voice: "zf" } } } });
    expect(latest().kinds.slice(2)).toEqual(["conversation.item.create", "response.create"]);
  });

  it("falls back to WebSocket, and stays there", async () => {
    const { client, latest, refuse, transports } = setUp({ refuse: ["webrtc"] });
    await client.sendText("一");
    latest().greet();
    expect(latest().kind).toBe("websocket");
    refuse.clear();
    latest().drop();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(transports.map((transport) => transport.kind)).toEqual(["websocket", "websocket"]);
  });

  it("goes back to WebRTC if the WebSocket was only a preference", async () => {
    const preferences: Partial<ClientPreferences> = { transport: "websocket" };
    const { client, latest } = setUp({ preferences });
    await client.sendText("一");
    latest().greet();
    expect(latest().kind).toBe("websocket");
    preferences.transport = "auto";
    latest().drop();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(latest().kind).toBe("webrtc");
  });

  it("shows the place in the queue", async () => {
    const { client, latest, state } = setUp();
    await client.sendText("一");
    latest().say({ type: "kuaimei.queue", place: 3 });
    expect(state().connection).toEqual({ kind: "waiting", place: 3 });
    latest().greet();
    expect(state().connection.kind).toBe("open");
  });
});

describe("a connection that ends", () => {
  it("is reopened with the same session, which it takes over", async () => {
    const { client, latest, transports, state } = setUp();
    await client.sendText("一");
    latest().greet("sess_7");
    expect(transports[0]?.options).toMatchObject({ sessionId: null, takeover: false });
    latest().drop();
    expect(state().connection.kind).toBe("reconnecting");
    expect(state().problem).toBe("offline");
    await vi.advanceTimersByTimeAsync(600);
    expect(latest().options).toMatchObject({ sessionId: "sess_7", takeover: true });
    latest().greet("sess_7");
    expect(state().problem).toBeNull();
    expect(state().session.messages).toHaveLength(1);
  });

  it("stays idle after it was closed for inactivity", async () => {
    const { client, latest, transports, state } = setUp();
    await client.sendText("一");
    latest().greet();
    latest().drop(1000);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(transports).toHaveLength(1);
    expect(state()).toMatchObject({ connection: { kind: "idle" }, problem: null });
  });

  it("is not reopened after another page took the session over", async () => {
    const { client, latest, transports, state } = setUp();
    await client.sendText("一");
    latest().greet();
    latest().say({ type: "error", error: { code: "session_taken_over", message: "elsewhere" } });
    latest().drop(1008);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(transports).toHaveLength(1);
    expect(state()).toMatchObject({ connection: { kind: "idle" }, problem: "in-use" });
    await client.takeOver();
    expect(latest().options).toMatchObject({ sessionId: "sess_1", takeover: true });
  });

  it("starts a new session if the server does not know the old one", async () => {
    const { client, latest } = setUp();
    await client.sendText("一");
    latest().greet();
    latest().say({ type: "error", error: { code: "session_not_found", message: "gone" } });
    latest().drop(1008);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(latest().options.sessionId).toBeNull();
  });

  it("is not affected by late events once it is replaced", async () => {
    const { client, transports, latest, state } = setUp();
    await client.sendText("一");
    latest().greet();
    latest().drop();
    await vi.advanceTimersByTimeAsync(1_000);
    latest().greet();
    transports[0]?.say({ type: "kuaimei.caption", turn: 9, item_id: "old", text: "舊的" });
    transports[0]?.drop();
    expect(state().connection.kind).toBe("open");
    expect(state().session.messages).toHaveLength(1);
  });
});

describe("replies", () => {
  it("are requested again while the last one is still ending", async () => {
    const { client, latest, state } = setUp();
    await client.sendText("一");
    latest().greet();
    latest().sent = [];
    latest().say({ type: "error", error: { code: "conversation_already_has_active_response", message: "busy" } });
    await vi.advanceTimersByTimeAsync(200);
    expect(latest().kinds).toEqual(["response.create"]);
    expect(state().session.error).toBeNull();
  });

  it("are stopped at once by a new message", async () => {
    const { client, latest } = setUp();
    await client.sendText("一");
    latest().greet();
    latest().say({ type: "response.created", response: { id: "r" } });
    latest().sent = [];
    await client.sendText("二");
    expect(latest().stops).toBe(1);
    expect(latest().kinds).toEqual(["response.cancel", "conversation.item.create", "response.create"]);
  });

  it("to an edited message are removed with it", async () => {
    const { client, latest, state } = setUp();
    await client.sendText("一");
    latest().greet();
    latest().say({ type: "response.output_item.added", response_id: "r", item: { id: "a", type: "message" } });
    latest().say({ type: "response.done", response: { id: "r", status: "completed" } });
    const transport = state().session.messages[0];
    latest().sent = [];
    if (transport) await client.editMessage(transport, "二");
    expect(latest().sent.filter((e) => e.type === "conversation.item.delete").map((e) => e["item_id"])).toEqual([
      transport?.id,
      "a",
    ]);
    expect(state().session.messages.map((one) => one.text)).toEqual(["二"]);
  });
});

describe("errors", () => {
  it("of expected kinds are ignored, others are shown", async () => {
    const { client, latest, state } = setUp();
    await client.sendText("一");
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

describe("probing the server", () => {
  it("shows that it is loading until it is ready", async () => {
    const { client, probeResult, state } = setUp();
    const happened: string[] = [];
    client.onUpdate((event) => happened.push(event.type));
    probeResult.problem = "loading";
    await client.probeServer();
    expect(state().problem).toBe("loading");
    probeResult.problem = null;
    await vi.advanceTimersByTimeAsync(2_000);
    expect(state().problem).toBeNull();
    expect(happened).toEqual(["local.ready"]);
  });
});

describe("the consent", () => {
  function asked() {
    let answer: (yes: boolean) => void = () => undefined;
    const given = setUp({ requestConsent: () => new Promise<boolean>((resolve) => (answer = resolve)) });
    return { ...given, answer: (yes: boolean) => answer(yes) };
  }

  it("is awaited before a typed message is sent; the message is shown", async () => {
    const { client, transports, latest, state, answer } = asked();
    const typed = client.sendText("一");
    await vi.advanceTimersByTimeAsync(60_000);
    expect(state()).toMatchObject({ askingConsent: true, connection: { kind: "idle" }, session: { messages: [{ text: "一" }] } });
    expect(transports).toEqual([]);
    answer(true);
    expect(await typed).toBe(true);
    latest().greet();
    expect(latest().kinds.slice(-2)).toEqual(["conversation.item.create", "response.create"]);
    expect(state().askingConsent).toBe(false);
  });

  it("that is refused removes the typed message, which is never sent", async () => {
    const { client, transports, state, answer, latest } = asked();
    const first = client.sendText("一");
    answer(false);
    expect(await first).toBe(false);
    expect(state()).toMatchObject({ askingConsent: false, session: { messages: [] } });
    expect(transports).toEqual([]);
    const second = client.sendText("二");
    answer(true);
    await second;
    latest().greet();
    expect(JSON.stringify(latest().sent)).not.toContain("一");
  });

  it("is asked for before the microphone, which stays off without it", async () => {
    const opened = vi.fn();
    vi.stubGlobal("window", { isSecureContext: true });
    vi.stubGlobal("navigator", { mediaDevices: { getUserMedia: opened } });
    try {
      const { client, state, answer } = asked();
      const talking = client.talk();
      void client.talk(); // a second click opens no second question
      expect(state().askingConsent).toBe(true);
      answer(false);
      await talking;
      expect(opened).not.toHaveBeenCalled();
      expect(state()).toMatchObject({ talking: false, askingConsent: false, problem: null });
    } finally {
      vi.unstubAllGlobals();
    }
  });

  it("given after signing out is ignored", async () => {
    const { client, transports, state, answer } = asked();
    const typed = client.sendText("一");
    client.reset();
    answer(true);
    expect(await typed).toBe(false);
    expect(transports).toEqual([]);
    expect(state().session.messages).toEqual([]);
  });
});

describe("signing out", () => {
  it("ends the connection and resets the state, and nothing reconnects", async () => {
    const { client, transports, latest, state } = setUp();
    await client.sendText("祕密");
    latest().greet("sess_9");
    client.reset();
    expect(latest().open).toBe(false);
    expect(state()).toEqual(setUp().state());
    latest().drop();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(transports).toHaveLength(1);
    await client.sendText("你好");
    expect(latest().options).toMatchObject({ sessionId: null, takeover: false });
  });

  it("ignores answers that were meant for the last user", async () => {
    const { client, probeResult, state } = setUp();
    probeResult.problem = "key";
    const looking = client.probeServer();
    client.reset();
    await looking;
    expect(state().problem).toBeNull();
  });

  it("is not confused with a revoked key, which ends the connection for good", async () => {
    const { client, latest, transports, state } = setUp();
    await client.sendText("一");
    latest().greet();
    latest().options.events.onClosed(1008, "key_revoked");
    expect(state()).toMatchObject({ problem: "revoked", connection: { kind: "idle" } });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(transports).toHaveLength(1);
  });
});
