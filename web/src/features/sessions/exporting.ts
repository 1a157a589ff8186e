import { request } from "../../api/http";
import { getSession, listTurns, listUtterances } from "../../api/rest";
import { srt } from "./subtitles";

/** Give the person a file. */
export function save(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** Recordings and transcript, packed by the server. */
export async function exportZip(id: string): Promise<void> {
  save(await (await request(`/api/sessions/${id}/export`)).blob(), `${id}.zip`);
}

export async function exportSrt(id: string): Promise<void> {
  save(new Blob([srt(await listUtterances(id))], { type: "application/x-subrip" }), `${id}.srt`);
}

export async function exportJson(id: string): Promise<void> {
  const [session, utterances, turns] = await Promise.all([getSession(id), listUtterances(id), listTurns(id)]);
  const text = JSON.stringify({ session, utterances, turns }, null, 2);
  save(new Blob([text], { type: "application/json" }), `${id}.json`);
}
