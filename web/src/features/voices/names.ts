/** How a voice is called for people: the ids of Kokoro say language, gender and name (`zf_xiaobei`). */

export interface VoiceName {
  name: string;
  gender: "female" | "male" | null;
}

export function nameOf(id: string): VoiceName {
  const found = /^[a-z]([fm])_(\w+)$/.exec(id);
  if (!found) return { name: id, gender: null };
  const name = found[2] ?? id;
  return { name: name.charAt(0).toUpperCase() + name.slice(1), gender: found[1] === "f" ? "female" : "male" };
}
