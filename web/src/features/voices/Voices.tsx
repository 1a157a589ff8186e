import { ActionIcon, Badge, Radio, Slider } from "@mantine/core";
import { IconMicrophone2, IconPlayerPlayFilled, IconPlayerStopFilled } from "@tabler/icons-react";
import { useEffect, useState } from "react";

import { getStatus, listVoices, type Voice } from "../../api/rest";
import { client, useClient } from "../../app/client";
import { prefer, usePreferences } from "../../app/preferences";
import { useWords } from "../../i18n";
import { byLanguage } from "./languages";
import { nameOf } from "./names";
import { useSample } from "./useSample";
import classes from "./Voices.module.css";

/** Who answers, and how fast. */
export function Voices() {
  const words = useWords();
  const { voice, speed } = usePreferences();
  const inForce = useClient().session.voice;
  const [usual, setUsual] = useState("");
  const [voices, setVoices] = useState<Voice[] | "failed" | null>(null);
  const sample = useSample();
  useEffect(() => {
    listVoices().then(setVoices, () => setVoices("failed"));
    getStatus().then(
      (status) => setUsual(status.voice),
      () => undefined, // then none is marked until one is chosen
    );
  }, []);
  const chosen = voice || inForce || usual;
  const choose = (id: string) => {
    prefer({ voice: id });
    client.refit();
  };
  return (
    <div className={classes.voices}>
      <h3 id="speed">{words.voices.speed}</h3>
      <Slider
        aria-labelledby="speed"
        thumbProps={{ "aria-labelledby": "speed" }}
        min={0.5}
        max={2}
        step={0.1}
        value={speed}
        label={(value) => words.voices.times(value.toFixed(1))}
        marks={[0.5, 1, 1.5, 2].map((value) => ({ value, label: words.voices.times(String(value)) }))}
        onChange={(value) => prefer({ speed: Math.round(value * 10) / 10 })}
        onChangeEnd={() => client.refit()}
        className={classes.slider}
      />
      {voices === "failed" ? (
        <p className={classes.note}>{words.voices.failed}</p>
      ) : (
        <Radio.Group value={chosen} onChange={choose} label={words.voices.pick}>
          {byLanguage(voices ?? []).map(([language, found]) => (
            <section key={language}>
              <h4>{words.voices[language]}</h4>
              <ul className={classes.list}>
                {found.map((one) => (
                  <li key={one.id} className={classes.row} data-chosen={one.id === chosen || undefined}>
                    <Radio value={one.id} label={<Name voice={one} />} className={classes.radio} />
                    <ActionIcon
                      variant="light"
                      radius="xl"
                      size={32}
                      loading={sample.loading === one.id}
                      aria-label={sample.playing === one.id ? words.voices.stopSample : words.voices.sample(nameOf(one.name).name)}
                      onClick={() => sample.toggle(one)}
                    >
                      {sample.playing === one.id ? <IconPlayerStopFilled size={14} /> : <IconPlayerPlayFilled size={14} />}
                    </ActionIcon>
                  </li>
                ))}
              </ul>
            </section>
          ))}
        </Radio.Group>
      )}
      {sample.failed && (
        <p className={classes.note} role="alert">
          {words.voices.sampleFailed}
        </p>
      )}
      <section className={classes.own} aria-labelledby="own-voice">
        <IconMicrophone2 size={24} stroke={1.5} aria-hidden="true" />
        <div>
          <h3 id="own-voice">
            {words.voices.own} <Badge variant="light">{words.voices.ownComing}</Badge>
          </h3>
          <p>{words.voices.ownBody}</p>
        </div>
      </section>
    </div>
  );
}

function Name({ voice }: { voice: Voice }) {
  const words = useWords();
  const { name, gender } = nameOf(voice.name);
  return (
    <>
      {name} {gender && <small className={classes.gender}>{words.voices[gender]}</small>}
    </>
  );
}
