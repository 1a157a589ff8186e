import { Button, Radio, Slider } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconPlus } from "@tabler/icons-react";
import { lazy, Suspense, useEffect, useState } from "react";

import { getStatus } from "../../api/status";
import type { Voice } from "../../api/voices";
import { useTranslations } from "../../i18n";
import { client, useClient } from "../../shared/client";
import { setPreferences, usePreferences } from "../../shared/preferences";
import { ClonedVoice } from "./ClonedVoice";
import { EnvironmentProgress } from "./EnvironmentProgress";
import { groupByLanguage } from "./groupByLanguage";
import { PlayButton } from "./PlayButton";
import { useTrainingEnvironment } from "./useTrainingEnvironment";
import { useVoicePreview } from "./useVoicePreview";
import { useVoices } from "./useVoices";
import { parseVoiceName } from "./voiceName";
import classes from "./Voices.module.css";

const AddVoice = lazy(() => import("./AddVoice"));

/** Selects the voice and the speed of the replies. */
export function Voices() {
  const t = useTranslations();
  const { voice, speed } = usePreferences();
  const sessionVoice = useClient().session.voice;
  const [defaultVoice, setDefaultVoice] = useState("");
  const voices = useVoices();
  const preview = useVoicePreview();
  const environment = useTrainingEnvironment();
  const [adding, setAdding] = useDisclosure(false);
  useEffect(() => {
    getStatus().then(
      (status) => setDefaultVoice(status.voice),
      () => undefined, // then none is marked until one is selected
    );
  }, []);
  const selected = voice || sessionVoice || defaultVoice;
  const choose = (id: string) => {
    setPreferences({ voice: id });
    client.applyPreferences();
  };
  const stock = voices.list.filter((one) => one.cloned === null);
  const cloned = voices.list.filter((one) => one.cloned !== null).sort(newestFirst);
  const onDeleted = (id: string) => {
    voices.drop(id);
    client.notifyVoiceDeleted(id);
    if (id === selected) choose(defaultVoice === id ? (stock[0]?.id ?? "") : defaultVoice);
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
      <h3 id="speed">{t.voices.speed}</h3>
      <Slider
        aria-labelledby="speed"
        thumbProps={{ "aria-labelledby": "speed" }}
        min={0.5}
        max={2}
        step={0.1}
        value={speed}
        label={(value) => t.voices.times(value.toFixed(1))}
        marks={[0.5, 1, 1.5, 2].map((value) => ({ value, label: t.voices.times(String(value)) }))}
        onChange={(value) => setPreferences({ speed: Math.round(value * 10) / 10 })}
        onChangeEnd={() => client.applyPreferences()}
        className={classes.slider}
      />
      {voices.state === "failed" ? (
        <p className={classes.note}>{t.voices.failed}</p>
      ) : (
        <Radio.Group value={selected} onChange={choose} label={t.voices.pick}>
          <section className={classes.cloned} aria-labelledby="own-voices">
            <div className={classes.clonedHead}>
              <h4 id="own-voices">{t.clonedVoices.title}</h4>
              <Button size="compact-sm" variant="light" leftSection={<IconPlus size={15} />} onClick={setAdding.open}>
                {t.clonedVoices.add}
              </Button>
            </div>
            <EnvironmentProgress environment={environment} />
            {cloned.length === 0 && voices.state === "ready" && <p className={classes.note}>{t.clonedVoices.none}</p>}
            <ul className={classes.list}>
              {cloned.map((one) => (
                <ClonedVoice
                  key={one.id}
                  voice={one}
                  chosen={one.id === selected}
                  preview={preview}
                  environment={environment}
                  onChanged={() => void voices.refresh(one.id)}
                  onDeleted={() => onDeleted(one.id)}
                />
              ))}
            </ul>
          </section>
          {groupByLanguage(stock).map(([language, found]) => (
            <section key={language}>
              <h4>{t.voices[language]}</h4>
              <ul className={classes.list}>
                {found.map((one) => (
                  <li key={one.id} className={classes.row} data-chosen={one.id === selected || undefined}>
                    <Radio value={one.id} label={<VoiceLabel voice={one} />} className={classes.radio} />
                    <PlayButton
                      preview={preview}
                      id={one.id}
                      audio={one.sample}
                      label={t.voices.sample(parseVoiceName(one.name).name)}
                      stop={t.voices.stopSample}
                    />
                  </li>
                ))}
              </ul>
            </section>
          ))}
        </Radio.Group>
      )}
      {preview.failed && (
        <p className={classes.note} role="alert">
          {t.voices.sampleFailed}
        </p>
      )}
    </div>
  );
}

function newestFirst(one: Voice, other: Voice): number {
  return (other.cloned?.createdAt ?? "").localeCompare(one.cloned?.createdAt ?? "");
}

function VoiceLabel({ voice }: { voice: Voice }) {
  const t = useTranslations();
  const { name, gender } = parseVoiceName(voice.name);
  return (
    <>
      {name} {gender && <small className={classes.gender}>{t.voices[gender]}</small>}
    </>
  );
}
