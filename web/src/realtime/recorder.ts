import { captureContext } from "./audioContext";
import recorderUrl from "./worklets/recorder.worklet.ts?worker&url";

let workletLoaded: Promise<void> | undefined;

/** Delivers the microphone's audio in blocks of 20 ms at 24 kHz. */
export class Recorder {
  private constructor(
    private readonly source: MediaStreamAudioSourceNode,
    private readonly node: AudioWorkletNode,
  ) {}

  static async open(stream: MediaStream, onBlock: (block: Int16Array) => void): Promise<Recorder> {
    const context = captureContext();
    workletLoaded ??= context.audioWorklet.addModule(recorderUrl);
    await workletLoaded;
    const source = context.createMediaStreamSource(stream);
    const node = new AudioWorkletNode(context, "kuaimei-recorder", { numberOfOutputs: 0, channelCount: 1 });
    node.port.onmessage = ({ data }: MessageEvent<Int16Array>) => onBlock(data);
    source.connect(node);
    return new Recorder(source, node);
  }

  close(): void {
    this.source.disconnect();
    this.node.port.close();
  }
}
