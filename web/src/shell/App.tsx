import { Drawer } from "@mantine/core";
import { useDisclosure, useMediaQuery } from "@mantine/hooks";

import { RecordingNotice } from "../features/account/RecordingNotice";
import { Conversation } from "../features/conversation/Conversation";
import { TalkDock } from "../features/conversation/TalkDock";
import { useKeyboardShortcuts } from "../features/conversation/useKeyboardShortcuts";
import { Sessions } from "../features/sessions/Sessions";
import { useSessions } from "../features/sessions/useSessions";
import { Settings } from "../features/settings/Settings";
import { Notices } from "../features/status/Notices";
import { Voices } from "../features/voices/Voices";
import { useTranslations } from "../i18n";
import { useClient } from "../shared/client";
import { usePageTitle } from "../shared/usePageTitle";
import classes from "./App.module.css";
import { Header } from "./Header";
import { useReconnectOnline } from "./useReconnectOnline";

export function App() {
  const t = useTranslations();
  const state = useClient();
  const sessions = useSessions();
  const wide = useMediaQuery("(min-width: 64em)", true, { getInitialValueInEffect: false });
  const [menu, setMenu] = useDisclosure(false);
  const [voices, setVoices] = useDisclosure(false);
  const [settings, setSettings] = useDisclosure(false);
  useKeyboardShortcuts();
  useReconnectOnline();
  usePageTitle(t.brand);

  const list = <Sessions sessions={sessions} onChosen={setMenu.close} />;
  const empty = state.session.messages.length === 0;
  const panel = { position: "right", size: 400, lockScroll: false, closeButtonProps: { "aria-label": t.close } } as const;
  return (
    <div className={classes.page} data-wide={wide || undefined}>
      <a className={classes.skip} href="#conversation">
        {t.skip}
      </a>
      {wide && (
        <nav className={classes.side} aria-label={t.menu}>
          {list}
        </nav>
      )}
      <div className={classes.main}>
        <Header onMenu={wide ? undefined : setMenu.open} onVoices={setVoices.open} onSettings={setSettings.open} />
        <main className={classes.stage} data-empty={empty || undefined} id="conversation" tabIndex={-1}>
          <Notices />
          <Conversation />
          <TalkDock empty={empty} />
        </main>
      </div>
      {!wide && (
        <Drawer
          opened={menu}
          onClose={setMenu.close}
          title={t.menu}
          size={320}
          lockScroll={false}
          closeButtonProps={{ "aria-label": t.close }}
        >
          {list}
        </Drawer>
      )}
      <RecordingNotice />
      <Drawer opened={voices} onClose={setVoices.close} title={t.voices.title} {...panel}>
        <Voices />
      </Drawer>
      <Drawer opened={settings} onClose={setSettings.close} title={t.settings.title} {...panel}>
        <Settings />
      </Drawer>
    </div>
  );
}
