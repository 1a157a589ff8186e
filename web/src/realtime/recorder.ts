import { captureContext } from "./sound";
import recorderUrl from "./worklets/recorder.worklet.ts?worker&url";

let loading: Promise<void> | undefined;

/** Gives a microphone's sound in blocks of 20 ms at 24 kHz. */
export class Recorder {
  private constructor(
    private readonly source: MediaStreamAudioSourceNode,
    private readonly node: AudioWorkletNode,
  ) {}

  static async open(stream: MediaStream, heard: (block: Int16Array) => void): Promise<Recorder> {
    const context = captureContext();
    loading ??= context.audioWorklet.addModule(recorderUrl);
    await loading;
    const source = context.createMediaStreamSource(stream);
    const node = new AudioWorkletNode(context, "kuaimei-recorder", { numberOfOutputs: 0, channelCount: 1 });
    node.port.onmessage = ({ data }: MessageEvent<Int16Array>) => heard(data);
    source.connect(node);
    return new Recorder(source, node);
  }

  close(): void {
    this.source.disconnect();
    this.node.port.close();
  }
}
