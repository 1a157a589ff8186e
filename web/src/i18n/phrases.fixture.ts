/** All phrases of one language, each with its path. */
export function phrases(value: unknown, path = ""): [string, string][] {
  if (typeof value === "function") return [[path, String((value as (...x: string[]) => string)("1", "2"))]];
  if (typeof value === "string") return [[path, value]];
  return Object.entries(value as object).flatMap(([key, part]) => phrases(part, `${path}.${key}`));
}
