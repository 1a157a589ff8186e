import { useCallback, useEffect, useMemo, useRef, useState } from "react";

import { LevelMeter, resumeAudioContexts } from "../../realtime/audioContext";
import { openMicrophone, releaseMicrophone } from "../../realtime/microphone";
import { SAMPLE_RATE } from "../../realtime/pcm";
import { Recorder } from "../../realtime/recorder";
import { encodeWav } from "../../realtime/wav";
import { client } from "../../shared/client";
import { getPreferences } from "../../shared/preferences";
import { requestConsent } from "../../shared/recordingConsent";

/** Far more than is needed: the user has forgotten to stop. */
const MAX_RECORDING_S = 120;

interface VoiceRecorder {
  state: "idle" | "opening" | "recording" | "failed";
  seconds: number;
  level: () => number;
  start: () => Promise<void>;
  stop: () => void;
}

interface ActiveRecording {
  stream: MediaStream;
  recorder: Recorder;
  meter: LevelMeter;
  blocks: Int16Array[];
  samples: number;
}

/**
 * Record from the microphone, without audio processing.
 *
 * @param onRecorded Called with the recording as a WAV file.
 */
export function useVoiceRecorder(onRecorded: (file: Blob) => void): VoiceRecorder {
  const [state, setState] = useState<VoiceRecorder["state"]>("idle");
  const [seconds, setSeconds] = useState(0);
  const active = useRef<ActiveRecording | null>(null);
  const unmounted = useRef(false);
  const latest = useRef(onRecorded);
  useEffect(() => {
    latest.current = onRecorded;
  });

  const end = useCallback((keep: boolean) => {
    const done = active.current;
    active.current = null;
    if (!done) return;
    done.recorder.close();
    done.meter.close();
    releaseMicrophone(done.stream);
    if (!keep) return;
    setState("idle");
    latest.current(encodeWav(done.blocks));
  }, []);

  const start = useCallback(async () => {
    resumeAudioContexts();
    client.mute(); // the reading is not meant for the conversation
    setState("opening");
    setSeconds(0);
    if (!(await requestConsent())) {
      setState("idle");
      return;
    }
    let stream: MediaStream | null = null;
    try {
      stream = await openMicrophone(getPreferences().microphone, true);
      const blocks: Int16Array[] = [];
      const recorder = await Recorder.open(stream, (block) => {
        const now = active.current;
        if (!now || now.blocks !== blocks) return;
        blocks.push(block);
        now.samples += block.length;
        setSeconds(Math.floor(now.samples / SAMPLE_RATE));
        if (now.samples >= MAX_RECORDING_S * SAMPLE_RATE) end(true);
      });
      active.current = { stream, recorder, meter: LevelMeter.ofStream(stream), blocks, samples: 0 };
      setState("recording");
      if (unmounted.current) end(false);
    } catch {
      releaseMicrophone(stream);
      setState("failed");
    }
  }, [end]);

  useEffect(() => {
    unmounted.current = false;
    return () => {
      unmounted.current = true;
      end(false);
    };
  }, [end]);

  const stop = useCallback(() => end(true), [end]);
  const level = useCallback(() => active.current?.meter.level() ?? 0, []);
  return useMemo(() => ({ state, seconds, level, start, stop }), [state, seconds, level, start, stop]);
}
