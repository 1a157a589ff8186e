import { openMicrophone, releaseMicrophone } from "./microphone";
import { Meter } from "./sound";

/** The microphone while it is open, and how loud it is. */
export class Ear {
  stream: MediaStream | null = null;
  private meter: Meter | null = null;
  private closing: ReturnType<typeof setTimeout> | undefined;

  /**
   * @param changed Told which microphone there is now, or that there is none.
   * @param lost Told that the device went away.
   */
  constructor(
    private readonly changed: (stream: MediaStream | null) => void,
    private readonly lost: () => void,
  ) {}

  /** Open it, unless it is. Throws `NoMicrophone`. */
  async open(deviceId: string): Promise<void> {
    this.stay();
    if (this.stream) return;
    const stream = await openMicrophone(deviceId);
    this.stream = stream;
    this.meter = Meter.ofStream(stream);
    stream.getAudioTracks()[0]?.addEventListener("ended", () => {
      if (this.stream !== stream) return;
      this.close();
      this.lost();
    });
    this.changed(stream);
  }

  /** Do something to it later, unless it is wanted before. */
  after(ms: number, act: () => void): void {
    this.stay();
    this.closing = setTimeout(act, ms);
  }

  /** It is wanted: what was to be done to it later is not done. */
  stay(): void {
    clearTimeout(this.closing);
  }

  close(): void {
    this.stay();
    if (!this.stream) return;
    this.meter?.close();
    this.meter = null;
    releaseMicrophone(this.stream);
    this.stream = null;
    this.changed(null);
  }

  level(): number {
    return this.meter?.level() ?? 0;
  }
}
