import { SampleQueue } from "./sampleQueue";

type PlayerMessage = { push: Float32Array } | { flush: number };

const FADE_S = 0.006;
const REPORT_S = 0.04;

/** Plays the audio it is sent and reports how much was played since the latest flush. */
class Player extends AudioWorkletProcessor {
  private readonly queue = new SampleQueue(Math.round(sampleRate * FADE_S));
  private epoch = 0;
  private reported = -1;

  constructor() {
    super();
    this.port.onmessage = ({ data }: MessageEvent<PlayerMessage>) => {
      if ("push" in data) {
        this.queue.push(data.push);
      } else {
        this.queue.flush();
        this.epoch = data.flush;
        this.reported = -1;
      }
    };
  }

  process(_inputs: Float32Array[][], outputs: Float32Array[][]): boolean {
    const out = outputs[0]?.[0];
    if (out) this.queue.fill(out);
    const { played, waiting } = this.queue;
    const due = played - this.reported >= sampleRate * REPORT_S || (waiting === 0 && played !== this.reported);
    if (due) {
      this.reported = played;
      this.port.postMessage({ epoch: this.epoch, played, waiting });
    }
    return true;
  }
}

registerProcessor("kuaimei-player", Player);
