import { expect, it } from "vitest";

import { encodeWav } from "./wav";

it("encodes a recording as a WAV file", async () => {
  const file = encodeWav([Int16Array.of(1, -1), Int16Array.of(0x7fff)]);
  const view = new DataView(await file.arrayBuffer());
  const text = (at: number) => String.fromCharCode(...new Uint8Array(view.buffer, at, 4));
  expect([text(0), text(8), text(12), text(36)]).toEqual(["RIFF", "WAVE", "fmt ", "data"]);
  expect([view.byteLength, view.getUint32(4, true), view.getUint32(40, true)]).toEqual([50, 42, 6]);
  expect([view.getUint16(22, true), view.getUint32(24, true)]).toEqual([1, 24_000]);
  expect([44, 46, 48].map((at) => view.getInt16(at, true))).toEqual([1, -1, 0x7fff]);
});
