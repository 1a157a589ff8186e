import { LevelMeter } from "./audioContext";
import { PlaybackClock } from "./playbackClock";
import { parseEvent, type ClientEvent, type ServerEvent } from "./protocol";
import type { ConnectOptions, PlaybackPosition, Transport } from "./transport";

const CONNECT_TIMEOUT_MS = 4_000;
const ICE_GATHERING_TIMEOUT_MS = 1_000;

/**
 * Connect by WebRTC: microphone and reply as media tracks, events on a data channel.
 *
 * The reply plays in an `<audio>` element, so that the browser's echo cancellation includes it.
 */
export async function connectWebRtc(options: ConnectOptions): Promise<Transport> {
  if (typeof RTCPeerConnection === "undefined") throw new Error("this browser has no WebRTC");
  const peer = new RTCPeerConnection({ iceServers: options.iceServers });
  const channel = peer.createDataChannel("oai-events");
  const transport = new WebRtcTransport(peer, channel, options);
  const aborted = new AbortController();
  const timer = setTimeout(() => aborted.abort(new Error("WebRTC does not come about")), CONNECT_TIMEOUT_MS);
  try {
    await Promise.race([negotiate(peer, channel, options, aborted.signal, transport), rejectOnAbort(aborted.signal)]);
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
  options: ConnectOptions,
  signal: AbortSignal,
  transport: WebRtcTransport,
): Promise<void> {
  const open = new Promise<void>((resolve) => channel.addEventListener("open", () => resolve(), { once: true }));
  await peer.setLocalDescription(await peer.createOffer());
  await waitForIceGathering(peer);
  const url = new URL("/v1/realtime/calls", location.href);
  if (options.sessionId) url.searchParams.set("session", options.sessionId);
  if (options.takeover) url.searchParams.set("takeover", "true");
  if (options.personId) url.searchParams.set("person", options.personId);
  const headers: Record<string, string> = { "Content-Type": "application/sdp" };
  if (options.apiKey) headers["Authorization"] = `Bearer ${options.apiKey}`;
  const response = await fetch(url, { method: "POST", headers, body: peer.localDescription?.sdp ?? "", signal });
  if (!response.ok) throw new Error(`the call was refused: ${response.status}`);
  transport.callUrl = response.headers.get("Location");
  await peer.setRemoteDescription({ type: "answer", sdp: await response.text() });
  await open;
}

function waitForIceGathering(peer: RTCPeerConnection): Promise<void> {
  if (peer.iceGatheringState === "complete") return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ICE_GATHERING_TIMEOUT_MS); // go on with the candidates gathered so far
    peer.addEventListener("icegatheringstatechange", () => {
      if (peer.iceGatheringState !== "complete") return;
      clearTimeout(timer);
      resolve();
    });
  });
}

function rejectOnAbort(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));
}

class WebRtcTransport implements Transport {
  readonly kind = "webrtc";
  /** Address of the call, for hanging up. */
  callUrl: string | null = null;
  private readonly clock = new PlaybackClock();
  private readonly element = new Audio();
  private readonly sender: RTCRtpSender;
  private meter: LevelMeter | null = null;
  private track: MediaStreamTrack | null = null;
  private muted: boolean;
  private stopped = false;
  private stoppedResponseId: string | null = null;
  private closed = false;
  /** A data channel has no close codes: the server sends them in an event before. */
  private closeInfo = { code: 1006, reason: "" };

  constructor(
    private readonly peer: RTCPeerConnection,
    private readonly channel: RTCDataChannel,
    private readonly options: ConnectOptions,
  ) {
    this.muted = options.muted;
    this.track = options.microphone?.getAudioTracks()[0] ?? null;
    const transceiver = peer.addTransceiver(this.track ?? "audio", { direction: "sendrecv" });
    this.sender = transceiver.sender;
    this.setMuted(this.muted);
    this.element.autoplay = true;
    this.element.dataset["kuaimei"] = "reply";
    document.body.append(this.element);
    // The server is near: low latency matters more than a jitter buffer.
    transceiver.receiver.jitterBufferTarget = 0;
    peer.ontrack = ({ track, streams }) => this.attachAudio(streams[0] ?? new MediaStream([track]));
    peer.onconnectionstatechange = () => {
      if (peer.connectionState === "failed" || peer.connectionState === "closed") this.onClosed();
    };
    channel.onclose = () => this.onClosed();
    channel.onmessage = ({ data }: MessageEvent<unknown>) => {
      const event = typeof data === "string" ? parseEvent(data) : undefined;
      if (event && !this.closed) this.handleEvent(event);
    };
  }

  level(): number {
    return this.element.muted ? 0 : (this.meter?.level() ?? 0);
  }

  position(): PlaybackPosition | null {
    return this.clock.position();
  }

  send(event: ClientEvent): void {
    if (this.channel.readyState === "open") this.channel.send(JSON.stringify(event));
  }

  setMicrophone(stream: MediaStream | null): void {
    this.track = stream?.getAudioTracks()[0] ?? null;
    this.setMuted(this.muted);
    void this.sender.replaceTrack(this.track).catch(() => undefined);
  }

  setMuted(muted: boolean): void {
    this.muted = muted;
    if (this.track) this.track.enabled = !muted;
  }

  stopPlayback(): void {
    this.stopped = true;
    this.stoppedResponseId = this.clock.responseId;
    this.element.muted = true;
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    if (this.callUrl) {
      const headers: Record<string, string> = this.options.apiKey ? { Authorization: `Bearer ${this.options.apiKey}` } : {};
      void fetch(`${this.callUrl}/hangup`, { method: "POST", headers, keepalive: true }).catch(() => undefined);
    }
    this.meter?.close();
    this.element.srcObject = null;
    this.element.remove();
    this.channel.close();
    this.peer.close();
  }

  private handleEvent(event: ServerEvent): void {
    this.clock.handle(event);
    if (event.type === "kuaimei.goodbye") this.closeInfo = { code: event.code, reason: event.reason };
    // The event arrives before the silence: the browser still has buffered audio.
    if (event.type === "kuaimei.reply.held" || event.type === "kuaimei.reply.interrupted") this.element.muted = true;
    if (event.type === "kuaimei.reply.resumed") this.element.muted = this.stopped;
    if (event.type === "output_audio_buffer.started") this.resumePlayback(event.response_id);
    this.options.events.onEvent(event);
  }

  /** Unmute when another reply begins. */
  private resumePlayback(responseId: string): void {
    if (this.stopped && responseId === this.stoppedResponseId) return;
    this.stopped = false;
    this.element.muted = false;
  }

  private attachAudio(stream: MediaStream): void {
    this.element.srcObject = stream;
    void this.element.play().catch(() => undefined); // allowed after a user gesture, and there was one
    this.meter?.close();
    this.meter = LevelMeter.ofStream(stream);
  }

  private onClosed(): void {
    if (this.closed) return;
    const { events } = this.options;
    this.callUrl = null; // the call has ended already
    this.close();
    events.onClosed(this.closeInfo.code, this.closeInfo.reason);
  }
}
