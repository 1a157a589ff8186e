import { expect, it } from "vitest";

import { parseVoiceName } from "./voiceName";

it("reads name and gender from the ids of Kokoro", () => {
  expect(parseVoiceName("zf_xiaobei")).toEqual({ name: "Xiaobei", gender: "female" });
  expect(parseVoiceName("am_michael")).toEqual({ name: "Michael", gender: "male" });
  expect(parseVoiceName("alloy")).toEqual({ name: "alloy", gender: null });
});
