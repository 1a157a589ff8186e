import { ReplyClock } from "./clock";
import { parseEvent, type ClientEvent, type ServerEvent } from "./protocol";
import { Meter } from "./sound";
import type { Call, Position, Transport } from "./transport";

const OPEN_MS = 4_000;
const GATHER_MS = 1_000;

/**
 * Microphone and reply as media, the events on a data channel.
 *
 * The reply plays in an `<audio>` element, where the browser's echo cancellation sees it.
 */
export async function dialWebRtc(call: Call): Promise<Transport> {
  if (typeof RTCPeerConnection === "undefined") throw new Error("this browser has no WebRTC");
  const peer = new RTCPeerConnection({ iceServers: call.iceServers });
  const channel = peer.createDataChannel("oai-events");
  const transport = new OverWebRtc(peer, channel, call);
  const aborted = new AbortController();
  const timer = setTimeout(() => aborted.abort(new Error("WebRTC does not come about")), OPEN_MS);
  try {
    await Promise.race([negotiate(peer, channel, call, aborted.signal, transport), failure(aborted.signal)]);
  } catch (error) {
    transport.close();
    throw error;
  } finally {
    clearTimeout(timer);
  }
  return transport;
}

async function negotiate(
  peer: RTCPeerConnection,
  channel: RTCDataChannel,
  call: Call,
  signal: AbortSignal,
  transport: OverWebRtc,
): Promise<void> {
  const open = new Promise<void>((resolve) => channel.addEventListener("open", () => resolve(), { once: true }));
  await peer.setLocalDescription(await peer.createOffer());
  await gathered(peer);
  const url = new URL("/v1/realtime/calls", location.href);
  if (call.session) url.searchParams.set("session", call.session);
  if (call.takeover) url.searchParams.set("takeover", "true");
  if (call.person) url.searchParams.set("person", call.person);
  const headers: Record<string, string> = { "Content-Type": "application/sdp" };
  if (call.key) headers["Authorization"] = `Bearer ${call.key}`;
  const response = await fetch(url, { method: "POST", headers, body: peer.localDescription?.sdp ?? "", signal });
  if (!response.ok) throw new Error(`the call was refused: ${response.status}`);
  transport.location = response.headers.get("Location");
  await peer.setRemoteDescription({ type: "answer", sdp: await response.text() });
  await open;
}

function gathered(peer: RTCPeerConnection): Promise<void> {
  if (peer.iceGatheringState === "complete") return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, GATHER_MS); // what was found by then has to do
    peer.addEventListener("icegatheringstatechange", () => {
      if (peer.iceGatheringState !== "complete") return;
      clearTimeout(timer);
      resolve();
    });
  });
}

function failure(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));
}

class OverWebRtc implements Transport {
  readonly kind = "webrtc";
  /** Of the call, for hanging up. */
  location: string | null = null;
  private readonly clock = new ReplyClock();
  private readonly element = new Audio();
  private readonly sender: RTCRtpSender;
  private meter: Meter | null = null;
  private track: MediaStreamTrack | null = null;
  private muted: boolean;
  private hushed = false;
  private hushedFor: string | null = null;
  private done = false;
  /** A data channel has no close codes: the server says it in an event before. */
  private goodbye = { code: 1006, reason: "" };

  constructor(
    private readonly peer: RTCPeerConnection,
    private readonly channel: RTCDataChannel,
    private readonly call: Call,
  ) {
    this.muted = call.muted;
    this.track = call.microphone?.getAudioTracks()[0] ?? null;
    const transceiver = peer.addTransceiver(this.track ?? "audio", { direction: "sendrecv" });
    this.sender = transceiver.sender;
    this.mute(this.muted);
    this.element.autoplay = true;
    this.element.dataset["kuaimei"] = "reply";
    document.body.append(this.element);
    // The server is near and nobody wants to hear the reply later than it is there.
    transceiver.receiver.jitterBufferTarget = 0;
    peer.ontrack = ({ track, streams }) => this.hear(streams[0] ?? new MediaStream([track]));
    peer.onconnectionstatechange = () => {
      if (peer.connectionState === "failed" || peer.connectionState === "closed") this.end();
    };
    channel.onclose = () => this.end();
    channel.onmessage = ({ data }: MessageEvent<unknown>) => {
      const event = typeof data === "string" ? parseEvent(data) : undefined;
      if (event && !this.done) this.take(event);
    };
  }

  level(): number {
    return this.element.muted ? 0 : (this.meter?.level() ?? 0);
  }

  position(): Position | null {
    return this.clock.position();
  }

  send(event: ClientEvent): void {
    if (this.channel.readyState === "open") this.channel.send(JSON.stringify(event));
  }

  listen(stream: MediaStream | null): void {
    this.track = stream?.getAudioTracks()[0] ?? null;
    this.mute(this.muted);
    void this.sender.replaceTrack(this.track).catch(() => undefined);
  }

  mute(muted: boolean): void {
    this.muted = muted;
    if (this.track) this.track.enabled = !muted;
  }

  hush(): void {
    this.hushed = true;
    this.hushedFor = this.clock.response;
    this.element.muted = true;
  }

  close(): void {
    if (this.done) return;
    this.done = true;
    if (this.location) {
      const headers: Record<string, string> = this.call.key ? { Authorization: `Bearer ${this.call.key}` } : {};
      void fetch(`${this.location}/hangup`, { method: "POST", headers, keepalive: true }).catch(() => undefined);
    }
    this.meter?.close();
    this.element.srcObject = null;
    this.element.remove();
    this.channel.close();
    this.peer.close();
  }

  private take(event: ServerEvent): void {
    this.clock.handle(event);
    if (event.type === "kuaimei.goodbye") this.goodbye = { code: event.code, reason: event.reason };
    // The event is here before the silence: the browser still holds sound it has received.
    if (event.type === "kuaimei.reply.held" || event.type === "kuaimei.reply.interrupted") this.element.muted = true;
    if (event.type === "kuaimei.reply.resumed") this.element.muted = this.hushed;
    if (event.type === "output_audio_buffer.started") this.unhush(event.response_id);
    this.call.caller.event(event);
  }

  /** Another reply begins to sound. */
  private unhush(response: string): void {
    if (this.hushed && response === this.hushedFor) return;
    this.hushed = false;
    this.element.muted = false;
  }

  private hear(stream: MediaStream): void {
    this.element.srcObject = stream;
    void this.element.play().catch(() => undefined); // allowed once somebody has clicked, and they have
    this.meter?.close();
    this.meter = Meter.ofStream(stream);
  }

  private end(): void {
    if (this.done) return;
    const { caller } = this.call;
    this.location = null; // there is nobody left to hang up on
    this.close();
    caller.closed(this.goodbye.code, this.goodbye.reason);
  }
}
