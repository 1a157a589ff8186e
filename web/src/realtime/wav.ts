import { SAMPLE_RATE } from "./pcm";

/** Mono 16-bit samples at 24 kHz as a WAV file. */
export function encodeWav(blocks: readonly Int16Array[]): Blob {
  const samples = blocks.reduce((sum, block) => sum + block.length, 0);
  const file = new DataView(new ArrayBuffer(44 + samples * 2));
  const tag = (at: number, text: string) => [...text].forEach((c, i) => file.setUint8(at + i, c.charCodeAt(0)));
  tag(0, "RIFF");
  file.setUint32(4, 36 + samples * 2, true);
  tag(8, "WAVEfmt ");
  file.setUint32(16, 16, true);
  file.setUint16(20, 1, true); // PCM
  file.setUint16(22, 1, true); // channels
  file.setUint32(24, SAMPLE_RATE, true);
  file.setUint32(28, SAMPLE_RATE * 2, true); // bytes a second
  file.setUint16(32, 2, true); // bytes a frame
  file.setUint16(34, 16, true); // bits
  tag(36, "data");
  file.setUint32(40, samples * 2, true);
  let at = 44;
  for (const block of blocks) {
    for (const sample of block) {
      file.setInt16(at, sample, true);
      at += 2;
    }
  }
  return new Blob([file], { type: "audio/wav" });
}
