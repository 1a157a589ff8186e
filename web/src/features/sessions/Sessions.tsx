import { Button, CloseButton, TextInput } from "@mantine/core";
import { IconPlus, IconSearch } from "@tabler/icons-react";
import { useState } from "react";

import { useTranslations } from "../../i18n";
import { useClient } from "../../shared/client";
import { Logo } from "../../shared/Logo";
import { groupByDay } from "./groupByDay";
import { SessionRow } from "./SessionRow";
import classes from "./Sessions.module.css";
import type { Sessions as Model } from "./useSessions";

interface Props {
  sessions: Model;
  onChosen: () => void;
}

export function Sessions({ sessions, onChosen }: Props) {
  const t = useTranslations();
  const { session } = useClient();
  const [failed, setFailed] = useState(false);
  const attempt = (work: Promise<void>) => {
    setFailed(false);
    work.catch(() => setFailed(true));
  };
  const choose = (id: string | null) => {
    attempt(sessions.open(id));
    onChosen();
  };
  return (
    <div className={classes.sessions}>
      <p className={classes.brand}>
        <Logo /> <span>{t.brand}</span>
      </p>
      <Button
        variant="default"
        radius="xl"
        leftSection={<IconPlus size={18} stroke={1.8} />}
        onClick={() => choose(null)}
        className={classes.new}
      >
        {t.sessions.new}
      </Button>
      <TextInput
        className={classes.search}
        variant="filled"
        radius="xl"
        type="search"
        aria-label={t.sessions.search}
        placeholder={t.sessions.search}
        leftSection={<IconSearch size={16} stroke={1.8} />}
        rightSection={
          sessions.search && (
            <CloseButton size="sm" aria-label={t.close} onClick={() => sessions.setSearch("")} />
          )
        }
        value={sessions.search}
        onChange={(event) => sessions.setSearch(event.currentTarget.value)}
      />
      {failed && (
        <p className={classes.note} role="alert">
          {t.sessions.failedAction}
        </p>
      )}
      <div className={classes.scroll} tabIndex={0} role="region" aria-label={t.sessions.title}>
        <List sessions={sessions} current={session.id} onChoose={choose} attempt={attempt} />
      </div>
    </div>
  );
}

interface ListProps {
  sessions: Model;
  current: string | null;
  onChoose: (id: string) => void;
  attempt: (work: Promise<void>) => void;
}

function List({ sessions, current, onChoose, attempt }: ListProps) {
  const t = useTranslations();
  if (sessions.state === "failed") return <p className={classes.note}>{t.sessions.failed}</p>;
  if (sessions.state === "not-kept") return <p className={classes.note}>{t.sessions.notKept}</p>;
  if (sessions.state === "loading") return null;
  const said = sessions.list.filter((one) => one.turns > 0 || one.title !== "" || one.id === current);
  if (said.length === 0) {
    return <p className={classes.note}>{sessions.search ? t.sessions.nothingFound : t.sessions.none}</p>;
  }
  return (
    <>
      {groupByDay(said).map(([day, found]) => (
        <section key={day}>
          <h2 className={classes.day}>{t.sessions[day]}</h2>
          <ul className={classes.list}>
            {found.map((one) => (
              <SessionRow
                key={one.id}
                session={one}
                current={one.id === current}
                onOpen={() => onChoose(one.id)}
                onRename={(title) => attempt(sessions.rename(one.id, title))}
                onDelete={() => attempt(sessions.remove(one.id))}
                attempt={attempt}
              />
            ))}
          </ul>
        </section>
      ))}
      {sessions.more && (
        <Button variant="subtle" size="xs" onClick={sessions.loadMore}>
          {t.sessions.more}
        </Button>
      )}
    </>
  );
}
