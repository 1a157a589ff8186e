import { encodeBase64 } from "./pcm";
import { Player } from "./player";
import { IGNORED_ERROR_PREFIX, parseEvent, type ClientEvent, type ServerEvent } from "./protocol";
import { Recorder } from "./recorder";
import type { ConnectOptions, PlaybackPosition, Transport } from "./transport";

const CONNECT_TIMEOUT_MS = 8_000;
/** Bytes buffered in the socket beyond which audio is dropped, because the network is too slow. */
const MAX_BUFFERED_BYTES = 512 * 1024;

/** Connect by WebSocket: events, microphone and reply, as in any client of the Realtime protocol. */
export async function connectWebSocket(options: ConnectOptions): Promise<Transport> {
  const url = new URL("/v1/realtime", location.href);
  url.protocol = url.protocol.replace("http", "ws");
  if (options.sessionId) url.searchParams.set("session", options.sessionId);
  if (options.takeover) url.searchParams.set("takeover", "true");
  if (options.personId) url.searchParams.set("person", options.personId);
  const protocols = ["realtime", ...(options.apiKey ? [`openai-insecure-api-key.${options.apiKey}`] : [])];
  const player = await Player.open();
  const socket = new WebSocket(url, protocols);
  const transport = new WebSocketTransport(socket, player, options);
  try {
    await waitForOpen(socket);
  } catch (error) {
    transport.close();
    throw error;
  }
  transport.setMuted(options.muted);
  transport.setMicrophone(options.microphone);
  return transport;
}

function waitForOpen(socket: WebSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("the server does not answer")), CONNECT_TIMEOUT_MS);
    socket.addEventListener("open", () => (clearTimeout(timer), resolve()));
    socket.addEventListener("error", () => (clearTimeout(timer), reject(new Error("no connection"))));
  });
}

class WebSocketTransport implements Transport {
  readonly kind = "websocket";
  private recorder: Recorder | null = null;
  private generation = 0;
  private muted = true;
  private closed = false;

  constructor(
    private readonly socket: WebSocket,
    private readonly player: Player,
    options: ConnectOptions,
  ) {
    socket.onmessage = ({ data }: MessageEvent<unknown>) => {
      const event = typeof data === "string" ? parseEvent(data) : undefined;
      if (!event || this.closed) return;
      this.truncateInterrupted(event);
      player.handle(event);
      options.events.onEvent(event);
    };
    socket.onclose = ({ code, reason }) => {
      if (this.closed) return;
      this.close();
      options.events.onClosed(code, reason);
    };
  }

  level(): number {
    return this.player.level();
  }

  position(): PlaybackPosition | null {
    return this.player.position();
  }

  send(event: ClientEvent): void {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(event));
  }

  setMicrophone(stream: MediaStream | null): void {
    this.recorder?.close();
    this.recorder = null;
    this.generation += 1;
    const generation = this.generation;
    if (!stream) return;
    void Recorder.open(stream, (block) => this.sendAudio(block)).then((recorder) => {
      if (generation !== this.generation || this.closed) recorder.close();
      else this.recorder = recorder;
    });
  }

  setMuted(muted: boolean): void {
    this.muted = muted;
  }

  stopPlayback(): void {
    this.player.stopPlayback();
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.generation += 1;
    this.recorder?.close();
    this.player.close();
    this.socket.close();
  }

  private sendAudio(block: Int16Array): void {
    if (this.socket.bufferedAmount > MAX_BUFFERED_BYTES) return;
    // Muted here and not in the recorder: no audio may arrive after an event that was sent after muting.
    if (this.muted) block.fill(0);
    this.send({ type: "input_audio_buffer.append", audio: encodeBase64(block) });
  }

  /** Report how much of an interrupted reply was heard: the server truncates its history there. */
  private truncateInterrupted(event: ServerEvent): void {
    if (event.type !== "kuaimei.reply.interrupted") return;
    const position = this.player.position();
    if (position?.itemId !== event.item_id) return;
    this.send({
      type: "conversation.item.truncate",
      event_id: `${IGNORED_ERROR_PREFIX}truncate`,
      item_id: event.item_id,
      content_index: 0,
      audio_end_ms: Math.floor(position.ms),
    });
  }
}
