import { expect, it } from "vitest";

import { groupByLanguage } from "./groupByLanguage";

it("groups voices by language", () => {
  const common = { sample: "", cloned: null, mine: true, shared: false };
  const voice = (id: string, language: string) => ({ id, name: id, language, ...common });
  const groups = groupByLanguage([voice("a", "en-GB"), voice("b", "zh"), voice("c", "")]);
  expect(groups.map(([group, found]) => [group, found.map((one) => one.id)])).toEqual([
    ["zh", ["b"]],
    ["en", ["a"]],
    ["other", ["c"]],
  ]);
});
