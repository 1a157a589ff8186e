import { request } from "../../api/http";
import { getSession, listTurns, listUtterances } from "../../api/sessions";
import { saveFile } from "../../shared/saveFile";
import { toSrt } from "./subtitles";

/** Recordings and transcript, packed by the server. */
export async function exportZip(id: string): Promise<void> {
  saveFile(await (await request(`/api/sessions/${id}/export`)).blob(), `${id}.zip`);
}

export async function exportSrt(id: string): Promise<void> {
  saveFile(new Blob([toSrt(await listUtterances(id))], { type: "application/x-subrip" }), `${id}.srt`);
}

export async function exportJson(id: string): Promise<void> {
  const [session, utterances, turns] = await Promise.all([getSession(id), listUtterances(id), listTurns(id)]);
  const text = JSON.stringify({ session, utterances, turns }, null, 2);
  saveFile(new Blob([text], { type: "application/json" }), `${id}.json`);
}
