import { toBase64 } from "./pcm";
import { Player } from "./player";
import { parseEvent, QUIET, type ClientEvent, type ServerEvent } from "./protocol";
import { Recorder } from "./recorder";
import type { Call, Position, Transport } from "./transport";

const OPEN_MS = 8_000;
/** Sound that may wait in the socket before blocks are left out: a network that is too slow for it. */
const BACKLOG_BYTES = 512 * 1024;

/** Events, microphone and reply in one WebSocket, as any client of the Realtime protocol does it. */
export async function dialWebSocket(call: Call): Promise<Transport> {
  const url = new URL("/v1/realtime", location.href);
  url.protocol = url.protocol.replace("http", "ws");
  if (call.session) url.searchParams.set("session", call.session);
  if (call.takeover) url.searchParams.set("takeover", "true");
  if (call.person) url.searchParams.set("person", call.person);
  const protocols = ["realtime", ...(call.key ? [`openai-insecure-api-key.${call.key}`] : [])];
  const player = await Player.open();
  const socket = new WebSocket(url, protocols);
  const transport = new OverWebSocket(socket, player, call);
  try {
    await opened(socket);
  } catch (error) {
    transport.close();
    throw error;
  }
  transport.mute(call.muted);
  transport.listen(call.microphone);
  return transport;
}

function opened(socket: WebSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("the server does not answer")), OPEN_MS);
    socket.addEventListener("open", () => (clearTimeout(timer), resolve()));
    socket.addEventListener("error", () => (clearTimeout(timer), reject(new Error("no connection"))));
  });
}

class OverWebSocket implements Transport {
  readonly kind = "websocket";
  private recorder: Recorder | null = null;
  private listening = 0;
  private muted = true;
  private done = false;

  constructor(
    private readonly socket: WebSocket,
    private readonly player: Player,
    call: Call,
  ) {
    socket.onmessage = ({ data }: MessageEvent<unknown>) => {
      const event = typeof data === "string" ? parseEvent(data) : undefined;
      if (!event || this.done) return;
      this.account(event);
      player.handle(event);
      call.caller.event(event);
    };
    socket.onclose = ({ code, reason }) => {
      if (this.done) return;
      this.close();
      call.caller.closed(code, reason);
    };
  }

  level(): number {
    return this.player.level();
  }

  position(): Position | null {
    return this.player.position();
  }

  send(event: ClientEvent): void {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(event));
  }

  listen(stream: MediaStream | null): void {
    this.recorder?.close();
    this.recorder = null;
    this.listening += 1;
    const mine = this.listening;
    if (!stream) return;
    void Recorder.open(stream, (block) => this.append(block)).then((recorder) => {
      if (mine !== this.listening || this.done) recorder.close();
      else this.recorder = recorder;
    });
  }

  mute(muted: boolean): void {
    this.muted = muted;
  }

  hush(): void {
    this.player.hush();
  }

  close(): void {
    if (this.done) return;
    this.done = true;
    this.listening += 1;
    this.recorder?.close();
    this.player.close();
    this.socket.close();
  }

  private append(block: Int16Array): void {
    if (this.socket.bufferedAmount > BACKLOG_BYTES) return;
    // Here and not where it is recorded: what is asked for after the muting must not be overtaken by sound.
    if (this.muted) block.fill(0);
    this.send({ type: "input_audio_buffer.append", audio: toBase64(block) });
  }

  /** The server keeps in its history what was heard; only this end knows how much that was. */
  private account(event: ServerEvent): void {
    if (event.type !== "kuaimei.reply.interrupted") return;
    const position = this.player.position();
    if (position?.itemId !== event.item_id) return;
    this.send({
      type: "conversation.item.truncate",
      event_id: `${QUIET}truncate`,
      item_id: event.item_id,
      content_index: 0,
      audio_end_ms: Math.floor(position.ms),
    });
  }
}
