/** Audio samples of the protocol: mono, 16 bit, little endian, base64. */

export const SAMPLE_RATE = 24_000;

export function encodeBase64(pcm: Int16Array): string {
  const bytes = new Uint8Array(pcm.buffer, pcm.byteOffset, pcm.byteLength);
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) {
    text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  }
  return btoa(text);
}

export function decodeBase64(text: string): Float32Array<ArrayBuffer> {
  const raw = atob(text);
  const samples = new Float32Array(raw.length >> 1);
  for (let i = 0; i < samples.length; i += 1) {
    const value = raw.charCodeAt(2 * i) | (raw.charCodeAt(2 * i + 1) << 8);
    samples[i] = (value << 16 >> 16) / 32768;
  }
  return samples;
}
