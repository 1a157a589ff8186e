import { Anchor, NativeSelect, SegmentedControl } from "@mantine/core";
import { useEffect, useState, type ReactNode } from "react";

import { getStatus } from "../../api/rest";
import { client } from "../../app/client";
import { prefer, usePreferences, type Preferences } from "../../app/preferences";
import { useWords } from "../../i18n";
import { microphones } from "../../realtime/microphone";
import { Account } from "../account/Account";
import classes from "./Settings.module.css";

export function Settings() {
  const words = useWords();
  const given = usePreferences();
  const devices = useMicrophones();
  const version = useVersion();
  const s = words.settings;
  return (
    <div className={classes.settings}>
      <Account />
      <Field label={s.language}>
        <SegmentedControl
          fullWidth
          aria-label={s.language}
          value={given.locale}
          onChange={(locale) => prefer({ locale: locale as Preferences["locale"] })}
          data={[
            { value: "zh-TW", label: "繁體中文" },
            { value: "en", label: "English" },
          ]}
        />
      </Field>
      <Field label={s.appearance}>
        <SegmentedControl
          fullWidth
          aria-label={s.appearance}
          value={given.scheme}
          onChange={(scheme) => prefer({ scheme: scheme as Preferences["scheme"] })}
          data={[
            { value: "auto", label: s.auto },
            { value: "light", label: s.light },
            { value: "dark", label: s.dark },
          ]}
        />
      </Field>
      <Field label={words.talk.mode}>
        <SegmentedControl
          fullWidth
          aria-label={words.talk.mode}
          value={given.mode}
          onChange={(mode) => {
            prefer({ mode: mode as Preferences["mode"] });
            client.refit();
          }}
          data={[
            { value: "hands-free", label: words.talk.handsFree },
            { value: "push-to-talk", label: words.talk.pushToTalk },
          ]}
        />
      </Field>
      <Field label={s.spoken}>
        <SegmentedControl
          fullWidth
          aria-label={s.spoken}
          value={given.language}
          onChange={(language) => {
            prefer({ language: language as Preferences["language"] });
            client.refit();
          }}
          data={[
            { value: "auto", label: s.spokenAuto },
            { value: "zh", label: s.spokenZh },
            { value: "en", label: s.spokenEn },
          ]}
        />
      </Field>
      <OnOff label={words.tiers.swap} hint={words.tiers.swapHint} on={given.swap} onChange={(swap) => prefer({ swap })} />
      <OnOff
        label={words.manner.compare}
        hint={words.manner.compareHint}
        on={given.compare}
        onChange={(compare) => prefer({ compare })}
      />
      <NativeSelect
        label={s.microphone}
        value={given.microphone}
        onChange={(event) => {
          prefer({ microphone: event.currentTarget.value });
          void client.changeMicrophone();
        }}
        data={[
          { value: "", label: s.microphoneDefault },
          ...devices.map((device, index) => ({
            value: device.deviceId,
            label: device.label || `${s.microphone} ${index + 1}`,
          })),
        ]}
      />
      <NativeSelect
        label={s.transport}
        description={s.transportHint}
        value={given.transport}
        onChange={(event) => prefer({ transport: event.currentTarget.value as Preferences["transport"] })}
        data={[
          { value: "auto", label: s.transportAuto },
          { value: "websocket", label: s.transportWs },
        ]}
      />
      <p className={classes.note}>
        <Anchor href="/listen">{words.listen.title}</Anchor>
        <br />
        <Anchor href="/label">{words.manner.rate}</Anchor>
      </p>
      <p className={classes.note}>
        {s.privacy}
        {version && <br />}
        {version && s.version(version)}
      </p>
    </div>
  );
}

function Field({ label, hint, children }: { label: string; hint?: string; children: ReactNode }) {
  return (
    <div>
      <p className={classes.label}>{label}</p>
      {hint && <p className={classes.hint}>{hint}</p>}
      {children}
    </div>
  );
}

interface OnOffProps {
  label: string;
  hint: string;
  on: boolean;
  onChange: (on: boolean) => void;
}

function OnOff({ label, hint, on, onChange }: OnOffProps) {
  const { tiers } = useWords();
  return (
    <Field label={label} hint={hint}>
      <SegmentedControl
        fullWidth
        aria-label={label}
        value={on ? "on" : "off"}
        onChange={(value) => onChange(value === "on")}
        data={[
          { value: "on", label: tiers.swapOn },
          { value: "off", label: tiers.swapOff },
        ]}
      />
    </Field>
  );
}

function useMicrophones(): MediaDeviceInfo[] {
  const [found, setFound] = useState<MediaDeviceInfo[]>([]);
  useEffect(() => {
    const look = () => void microphones().then(setFound, () => undefined);
    look();
    navigator.mediaDevices?.addEventListener("devicechange", look);
    return () => navigator.mediaDevices?.removeEventListener("devicechange", look);
  }, []);
  return found;
}

function useVersion(): string {
  const [version, setVersion] = useState("");
  useEffect(() => {
    getStatus().then(
      (status) => setVersion(status.version),
      () => undefined,
    );
  }, []);
  return version;
}
