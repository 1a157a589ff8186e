import { Button, Radio, Slider } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconPlus } from "@tabler/icons-react";
import { lazy, Suspense, useEffect, useState } from "react";

import { getStatus } from "../../api/rest";
import type { Voice } from "../../api/voices";
import { client, useClient } from "../../app/client";
import { prefer, usePreferences } from "../../app/preferences";
import { useWords } from "../../i18n";
import { Environment } from "./Environment";
import { ClonedVoice } from "./ClonedVoice";
import { byLanguage } from "./languages";
import { nameOf } from "./names";
import { PlayButton } from "./PlayButton";
import { useEnvironment } from "./useEnvironment";
import { useSample } from "./useSample";
import { useVoices } from "./useVoices";
import classes from "./Voices.module.css";

const AddVoice = lazy(() => import("./AddVoice"));

/** Who answers, and how fast. */
export function Voices() {
  const words = useWords();
  const { voice, speed } = usePreferences();
  const inForce = useClient().session.voice;
  const [usual, setUsual] = useState("");
  const voices = useVoices();
  const sample = useSample();
  const environment = useEnvironment();
  const [adding, setAdding] = useDisclosure(false);
  useEffect(() => {
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
  const stock = voices.list.filter((one) => one.cloned === null);
  const cloned = voices.list.filter((one) => one.cloned !== null).sort(newestFirst);
  const gone = (id: string) => {
    voices.drop(id);
    client.voiceDeleted(id);
    if (id === chosen) choose(usual === id ? (stock[0]?.id ?? "") : usual);
  };
  if (adding) {
    return (
      <Suspense fallback={null}>
        <AddVoice
          onAdded={(added) => {
            voices.put(added);
            setAdding.close();
          }}
          onBack={setAdding.close}
        />
      </Suspense>
    );
  }
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
      {voices.state === "failed" ? (
        <p className={classes.note}>{words.voices.failed}</p>
      ) : (
        <Radio.Group value={chosen} onChange={choose} label={words.voices.pick}>
          <section className={classes.own} aria-labelledby="own-voices">
            <div className={classes.ownHead}>
              <h4 id="own-voices">{words.own.title}</h4>
              <Button size="compact-sm" variant="light" leftSection={<IconPlus size={15} />} onClick={setAdding.open}>
                {words.own.add}
              </Button>
            </div>
            <Environment environment={environment} />
            {cloned.length === 0 && voices.state === "ready" && <p className={classes.note}>{words.own.none}</p>}
            <ul className={classes.list}>
              {cloned.map((one) => (
                <ClonedVoice
                  key={one.id}
                  voice={one}
                  chosen={one.id === chosen}
                  sample={sample}
                  environment={environment}
                  onChanged={() => void voices.refresh(one.id)}
                  onDeleted={() => gone(one.id)}
                />
              ))}
            </ul>
          </section>
          {byLanguage(stock).map(([language, found]) => (
            <section key={language}>
              <h4>{words.voices[language]}</h4>
              <ul className={classes.list}>
                {found.map((one) => (
                  <li key={one.id} className={classes.row} data-chosen={one.id === chosen || undefined}>
                    <Radio value={one.id} label={<Name voice={one} />} className={classes.radio} />
                    <PlayButton
                      sample={sample}
                      id={one.id}
                      audio={one.sample}
                      label={words.voices.sample(nameOf(one.name).name)}
                      stop={words.voices.stopSample}
                    />
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
    </div>
  );
}

function newestFirst(one: Voice, other: Voice): number {
  return (other.cloned?.createdAt ?? "").localeCompare(one.cloned?.createdAt ?? "");
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
