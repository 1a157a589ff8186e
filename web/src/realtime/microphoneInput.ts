import { LevelMeter } from "./audioContext";
import { openMicrophone, releaseMicrophone } from "./microphone";

/** The open microphone, its level, and its delayed release. */
export class MicrophoneInput {
  stream: MediaStream | null = null;
  private meter: LevelMeter | null = null;
  private releaseTimer: ReturnType<typeof setTimeout> | undefined;

  /**
   * @param onChange Called with the open stream, or null when it was closed.
   * @param onLost Called when the device was disconnected.
   */
  constructor(
    private readonly onChange: (stream: MediaStream | null) => void,
    private readonly onLost: () => void,
  ) {}

  /** Open the microphone, unless it is open. Throws `MicrophoneError`. */
  async open(deviceId: string): Promise<void> {
    this.cancelRelease();
    if (this.stream) return;
    const stream = await openMicrophone(deviceId);
    this.stream = stream;
    this.meter = LevelMeter.ofStream(stream);
    stream.getAudioTracks()[0]?.addEventListener("ended", () => {
      if (this.stream !== stream) return;
      this.close();
      this.onLost();
    });
    this.onChange(stream);
  }

  /** Call `release` later, unless the microphone is used before. */
  releaseAfter(ms: number, release: () => void): void {
    this.cancelRelease();
    this.releaseTimer = setTimeout(release, ms);
  }

  /** Cancel a scheduled release. */
  cancelRelease(): void {
    clearTimeout(this.releaseTimer);
  }

  close(): void {
    this.cancelRelease();
    if (!this.stream) return;
    this.meter?.close();
    this.meter = null;
    releaseMicrophone(this.stream);
    this.stream = null;
    this.onChange(null);
  }

  level(): number {
    return this.meter?.level() ?? 0;
  }
}
