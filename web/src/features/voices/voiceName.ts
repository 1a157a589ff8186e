/** Display name of a voice: Kokoro's ids contain language, gender and name (`zf_xiaobei`). */

export interface VoiceName {
  name: string;
  gender: "female" | "male" | null;
}

export function parseVoiceName(id: string): VoiceName {
  const found = /^[a-z]([fm])_(\w+)$/.exec(id);
  if (!found) return { name: id, gender: null };
  const name = found[2] ?? id;
  return { name: name.charAt(0).toUpperCase() + name.slice(1), gender: found[1] === "f" ? "female" : "male" };
}
