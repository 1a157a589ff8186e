import { microphoneProblem, type Problem } from "./problems";

/** A microphone that was not given, and why. */
export class NoMicrophone extends Error {
  constructor(readonly problem: Problem) {
    super(problem);
  }
}

/** Why there can be no microphone here, whoever is asked; null: it may be asked for. */
export function microphoneHindrance(): Problem | null {
  if (!window.isSecureContext) return "insecure";
  return navigator.mediaDevices === undefined ? "unsupported" : null;
}

/**
 * Ask for the microphone.
 *
 * @param plain As it is: what takes noise away takes some of the voice with it.
 */
export async function openMicrophone(deviceId: string, plain = false): Promise<MediaStream> {
  const hindrance = microphoneHindrance();
  if (hindrance !== null) throw new NoMicrophone(hindrance);
  const audio: MediaTrackConstraints = {
    echoCancellation: !plain,
    noiseSuppression: !plain,
    autoGainControl: !plain,
    channelCount: 1,
    ...(deviceId ? { deviceId: { ideal: deviceId } } : {}),
  };
  try {
    return await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    throw new NoMicrophone(microphoneProblem(error, true));
  }
}

export function releaseMicrophone(stream: MediaStream | null): void {
  for (const track of stream?.getTracks() ?? []) track.stop();
}

/** Microphones there are; without names until one was allowed. */
export async function microphones(): Promise<MediaDeviceInfo[]> {
  const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  return devices.filter((device) => device.kind === "audioinput" && device.deviceId !== "");
}
