import { Anchor, NativeSelect, SegmentedControl } from "@mantine/core";
import { useEffect, useState, type ReactNode } from "react";

import { getStatus } from "../../api/status";
import { useTranslations } from "../../i18n";
import { listMicrophones } from "../../realtime/microphone";
import { client } from "../../shared/client";
import { setPreferences, usePreferences, type Preferences } from "../../shared/preferences";
import { Account } from "../account/Account";
import classes from "./Settings.module.css";

export function Settings() {
  const t = useTranslations();
  const given = usePreferences();
  const devices = useMicrophones();
  const version = useVersion();
  const s = t.settings;
  return (
    <div className={classes.settings}>
      <Account />
      <Field label={s.language}>
        <SegmentedControl
          fullWidth
          aria-label={s.language}
          value={given.locale}
          onChange={(locale) => setPreferences({ locale: locale as Preferences["locale"] })}
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
          onChange={(scheme) => setPreferences({ scheme: scheme as Preferences["scheme"] })}
          data={[
            { value: "auto", label: s.auto },
            { value: "light", label: s.light },
            { value: "dark", label: s.dark },
          ]}
        />
      </Field>
      <Field label={t.talk.mode}>
        <SegmentedControl
          fullWidth
          aria-label={t.talk.mode}
          value={given.mode}
          onChange={(mode) => {
            setPreferences({ mode: mode as Preferences["mode"] });
            client.applyPreferences();
          }}
          data={[
            { value: "hands-free", label: t.talk.handsFree },
            { value: "push-to-talk", label: t.talk.pushToTalk },
          ]}
        />
      </Field>
      <Field label={s.spoken}>
        <SegmentedControl
          fullWidth
          aria-label={s.spoken}
          value={given.language}
          onChange={(language) => {
            setPreferences({ language: language as Preferences["language"] });
            client.applyPreferences();
          }}
          data={[
            { value: "auto", label: s.spokenAuto },
            { value: "zh", label: s.spokenZh },
            { value: "en", label: s.spokenEn },
          ]}
        />
      </Field>
      <OnOffField label={t.quality.swap} hint={t.quality.swapHint} on={given.swap} onChange={(swap) => setPreferences({ swap })} />
      <OnOffField
        label={t.analysis.compare}
        hint={t.analysis.compareHint}
        on={given.compare}
        onChange={(compare) => setPreferences({ compare })}
      />
      <NativeSelect
        label={s.microphone}
        value={given.microphone}
        onChange={(event) => {
          setPreferences({ microphone: event.currentTarget.value });
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
        onChange={(event) => setPreferences({ transport: event.currentTarget.value as Preferences["transport"] })}
        data={[
          { value: "auto", label: s.transportAuto },
          { value: "websocket", label: s.transportWs },
        ]}
      />
      <p className={classes.note}>
        <Anchor href="/listen">{t.listeningTest.title}</Anchor>
        <br />
        <Anchor href="/label">{t.analysis.rate}</Anchor>
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

interface OnOffFieldProps {
  label: string;
  hint: string;
  on: boolean;
  onChange: (on: boolean) => void;
}

function OnOffField({ label, hint, on, onChange }: OnOffFieldProps) {
  const { quality } = useTranslations();
  return (
    <Field label={label} hint={hint}>
      <SegmentedControl
        fullWidth
        aria-label={label}
        value={on ? "on" : "off"}
        onChange={(value) => onChange(value === "on")}
        data={[
          { value: "on", label: quality.swapOn },
          { value: "off", label: quality.swapOff },
        ]}
      />
    </Field>
  );
}

function useMicrophones(): MediaDeviceInfo[] {
  const [found, setFound] = useState<MediaDeviceInfo[]>([]);
  useEffect(() => {
    const refresh = () => void listMicrophones().then(setFound, () => undefined);
    refresh();
    navigator.mediaDevices?.addEventListener("devicechange", refresh);
    return () => navigator.mediaDevices?.removeEventListener("devicechange", refresh);
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
