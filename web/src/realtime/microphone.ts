import { microphoneProblem, type Problem } from "./problems";

/** The microphone could not be opened, and why. */
export class MicrophoneError extends Error {
  constructor(readonly problem: Problem) {
    super(problem);
  }
}

/** Why the page cannot ask for a microphone at all; null: it can. */
export function microphoneBlockedBy(): Problem | null {
  if (!window.isSecureContext) return "insecure";
  return navigator.mediaDevices === undefined ? "unsupported" : null;
}

/**
 * Ask for the microphone.
 *
 * @param raw Without processing: noise suppression also removes parts of the voice.
 */
export async function openMicrophone(deviceId: string, raw = false): Promise<MediaStream> {
  const problem = microphoneBlockedBy();
  if (problem !== null) throw new MicrophoneError(problem);
  const audio: MediaTrackConstraints = {
    echoCancellation: !raw,
    noiseSuppression: !raw,
    autoGainControl: !raw,
    channelCount: 1,
    ...(deviceId ? { deviceId: { ideal: deviceId } } : {}),
  };
  try {
    return await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    throw new MicrophoneError(microphoneProblem(error, true));
  }
}

export function releaseMicrophone(stream: MediaStream | null): void {
  for (const track of stream?.getTracks() ?? []) track.stop();
}

/** List the microphones; their names are empty until the user has allowed one. */
export async function listMicrophones(): Promise<MediaDeviceInfo[]> {
  const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  return devices.filter((device) => device.kind === "audioinput" && device.deviceId !== "");
}
