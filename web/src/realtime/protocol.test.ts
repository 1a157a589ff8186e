import { expect, it } from "vitest";

import { parseEvent } from "./protocol";

it("parses events, and nothing else", () => {
  expect(parseEvent('{"type":"kuaimei.queue","place":2}')).toEqual({ type: "kuaimei.queue", place: 2 });
  expect(["", "null", "[]", "{}", '{"type":1}', "{"].map(parseEvent)).toEqual(Array(6).fill(undefined));
});
