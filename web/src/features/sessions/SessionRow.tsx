import { ActionIcon, Menu, UnstyledButton } from "@mantine/core";
import {
  IconBadgeCc,
  IconBraces,
  IconChartLine,
  IconDots,
  IconFileZip,
  IconPencil,
  IconTrash,
} from "@tabler/icons-react";
import { lazy, Suspense, useState } from "react";

import type { Session } from "../../api/rest";
import { Confirm } from "../../app/Confirm";
import { Rename } from "../../app/Rename";
import { useWords } from "../../i18n";
import { exportJson, exportSrt, exportZip } from "./exporting";
import classes from "./SessionRow.module.css";

const Trends = lazy(() => import("../analysis/Trends"));

const LONGEST_TITLE = 120;

interface Props {
  session: Session;
  current: boolean;
  onOpen: () => void;
  onRename: (title: string) => void;
  onDelete: () => void;
  attempt: (work: Promise<void>) => void;
}

export function SessionRow({ session, current, onOpen, onRename, onDelete, attempt }: Props) {
  const words = useWords();
  const [asking, setAsking] = useState<"rename" | "delete" | "trends" | null>(null);
  const title = session.title || words.sessions.untitled;
  const close = () => setAsking(null);
  const icon = { size: 17, stroke: 1.7 };
  return (
    <li className={classes.row} data-current={current || undefined}>
      <UnstyledButton className={classes.open} onClick={onOpen} aria-current={current ? "page" : undefined}>
        <span className={classes.title}>{title}</span>
        {session.turns > 0 && <span className={classes.turns}>{words.sessions.turns(session.turns)}</span>}
      </UnstyledButton>
      <Menu position="bottom-end" shadow="md" radius="md" width={270}>
        <Menu.Target>
          <ActionIcon
            className={classes.dots}
            variant="subtle"
            color="gray"
            size={32}
            aria-label={words.sessions.actions(title)}
          >
            <IconDots size={18} />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item leftSection={<IconPencil {...icon} />} onClick={() => setAsking("rename")}>
            {words.sessions.rename}
          </Menu.Item>
          <Menu.Item leftSection={<IconChartLine {...icon} />} onClick={() => setAsking("trends")}>
            {words.manner.trends}
          </Menu.Item>
          <Menu.Divider />
          <Menu.Item leftSection={<IconFileZip {...icon} />} onClick={() => attempt(exportZip(session.id))}>
            {words.sessions.exportZip}
          </Menu.Item>
          <Menu.Item leftSection={<IconBadgeCc {...icon} />} onClick={() => attempt(exportSrt(session.id))}>
            {words.sessions.exportSrt}
          </Menu.Item>
          <Menu.Item leftSection={<IconBraces {...icon} />} onClick={() => attempt(exportJson(session.id))}>
            {words.sessions.exportJson}
          </Menu.Item>
          <Menu.Divider />
          <Menu.Item className={classes.danger} leftSection={<IconTrash {...icon} />} onClick={() => setAsking("delete")}>
            {words.sessions.delete}
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
      {asking === "trends" && (
        <Suspense fallback={null}>
          <Trends session={session.id} onClose={close} />
        </Suspense>
      )}
      <Rename
        opened={asking === "rename"}
        title={words.sessions.rename}
        label={words.sessions.renameLabel}
        name={session.title}
        longest={LONGEST_TITLE}
        onRename={onRename}
        onClose={close}
      />
      <Confirm
        opened={asking === "delete"}
        title={words.sessions.deleteTitle}
        body={words.sessions.deleteBody(title)}
        action={words.sessions.delete}
        onConfirm={onDelete}
        onClose={close}
      />
    </li>
  );
}
