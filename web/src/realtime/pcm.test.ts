import { expect, it } from "vitest";

import { decodeBase64, encodeBase64 } from "./pcm";

it("base64 audio is decoded to the same samples", () => {
  const pcm = Int16Array.from({ length: 20_000 }, (_, i) => ((i * 37) % 65_536) - 32_768);
  const back = decodeBase64(encodeBase64(pcm));
  expect([...back].every((sample, i) => sample * 32_768 === pcm[i])).toBe(true);
});
