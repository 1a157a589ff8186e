import { useCallback, useEffect, useMemo, useRef, useState } from "react";

import { client } from "../../app/client";
import { permit } from "../../app/notice";
import { preferences } from "../../app/preferences";
import { openMicrophone, releaseMicrophone } from "../../realtime/microphone";
import { RATE } from "../../realtime/pcm";
import { Recorder } from "../../realtime/recorder";
import { Meter, wakeSound } from "../../realtime/sound";
import { wavOf } from "../../realtime/wav";

/** Much more than is needed: somebody has forgotten that it is on. */
const LONGEST_S = 120;

interface Taking {
  state: "idle" | "opening" | "recording" | "failed";
  seconds: number;
  level: () => number;
  start: () => Promise<void>;
  stop: () => void;
}

interface Tape {
  stream: MediaStream;
  recorder: Recorder;
  meter: Meter;
  blocks: Int16Array[];
  samples: number;
}

/**
 * Record from the microphone, as it is.
 *
 * @param taken Given the recording as a WAV file.
 */
export function useTaking(taken: (file: Blob) => void): Taking {
  const [state, setState] = useState<Taking["state"]>("idle");
  const [seconds, setSeconds] = useState(0);
  const tape = useRef<Tape | null>(null);
  const gone = useRef(false);
  const latest = useRef(taken);
  useEffect(() => {
    latest.current = taken;
  });

  const end = useCallback((keep: boolean) => {
    const done = tape.current;
    tape.current = null;
    if (!done) return;
    done.recorder.close();
    done.meter.close();
    releaseMicrophone(done.stream);
    if (!keep) return;
    setState("idle");
    latest.current(wavOf(done.blocks));
  }, []);

  const start = useCallback(async () => {
    wakeSound();
    client.quiet(); // what is read aloud is not meant for the conversation
    setState("opening");
    setSeconds(0);
    if (!(await permit())) {
      setState("idle");
      return;
    }
    let stream: MediaStream | null = null;
    try {
      stream = await openMicrophone(preferences().microphone, true);
      const blocks: Int16Array[] = [];
      const recorder = await Recorder.open(stream, (block) => {
        const now = tape.current;
        if (!now || now.blocks !== blocks) return;
        blocks.push(block);
        now.samples += block.length;
        setSeconds(Math.floor(now.samples / RATE));
        if (now.samples >= LONGEST_S * RATE) end(true);
      });
      tape.current = { stream, recorder, meter: Meter.ofStream(stream), blocks, samples: 0 };
      setState("recording");
      if (gone.current) end(false);
    } catch {
      releaseMicrophone(stream);
      setState("failed");
    }
  }, [end]);

  useEffect(() => {
    gone.current = false;
    return () => {
      gone.current = true;
      end(false);
    };
  }, [end]);

  const stop = useCallback(() => end(true), [end]);
  const level = useCallback(() => tape.current?.meter.level() ?? 0, []);
  return useMemo(() => ({ state, seconds, level, start, stop }), [state, seconds, level, start, stop]);
}
