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

import type { Session } from "../../api/sessions";
import { useTranslations } from "../../i18n";
import { ConfirmDialog } from "../../shared/ConfirmDialog";
import { RenameDialog } from "../../shared/RenameDialog";
import { exportJson, exportSrt, exportZip } from "./export";
import classes from "./SessionRow.module.css";

const Trends = lazy(() => import("../analysis/Trends"));

const MAX_TITLE_LENGTH = 120;

interface Props {
  session: Session;
  current: boolean;
  onOpen: () => void;
  onRename: (title: string) => void;
  onDelete: () => void;
  attempt: (work: Promise<void>) => void;
}

export function SessionRow({ session, current, onOpen, onRename, onDelete, attempt }: Props) {
  const t = useTranslations();
  const [asking, setAsking] = useState<"rename" | "delete" | "trends" | null>(null);
  const title = session.title || t.sessions.untitled;
  const close = () => setAsking(null);
  const icon = { size: 17, stroke: 1.7 };
  return (
    <li className={classes.row} data-current={current || undefined}>
      <UnstyledButton className={classes.open} onClick={onOpen} aria-current={current ? "page" : undefined}>
        <span className={classes.title}>{title}</span>
        {session.turns > 0 && <span className={classes.turns}>{t.sessions.turns(session.turns)}</span>}
      </UnstyledButton>
      <Menu position="bottom-end" shadow="md" radius="md" width={270}>
        <Menu.Target>
          <ActionIcon
            className={classes.dots}
            variant="subtle"
            color="gray"
            size={32}
            aria-label={t.sessions.actions(title)}
          >
            <IconDots size={18} />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item leftSection={<IconPencil {...icon} />} onClick={() => setAsking("rename")}>
            {t.sessions.rename}
          </Menu.Item>
          <Menu.Item leftSection={<IconChartLine {...icon} />} onClick={() => setAsking("trends")}>
            {t.analysis.trends}
          </Menu.Item>
          <Menu.Divider />
          <Menu.Item leftSection={<IconFileZip {...icon} />} onClick={() => attempt(exportZip(session.id))}>
            {t.sessions.exportZip}
          </Menu.Item>
          <Menu.Item leftSection={<IconBadgeCc {...icon} />} onClick={() => attempt(exportSrt(session.id))}>
            {t.sessions.exportSrt}
          </Menu.Item>
          <Menu.Item leftSection={<IconBraces {...icon} />} onClick={() => attempt(exportJson(session.id))}>
            {t.sessions.exportJson}
          </Menu.Item>
          <Menu.Divider />
          <Menu.Item className={classes.danger} leftSection={<IconTrash {...icon} />} onClick={() => setAsking("delete")}>
            {t.sessions.delete}
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
      {asking === "trends" && (
        <Suspense fallback={null}>
          <Trends session={session.id} onClose={close} />
        </Suspense>
      )}
      <RenameDialog
        opened={asking === "rename"}
        title={t.sessions.rename}
        label={t.sessions.renameLabel}
        name={session.title}
        maxLength={MAX_TITLE_LENGTH}
        onRename={onRename}
        onClose={close}
      />
      <ConfirmDialog
        opened={asking === "delete"}
        title={t.sessions.deleteTitle}
        body={t.sessions.deleteBody(title)}
        action={t.sessions.delete}
        onConfirm={onDelete}
        onClose={close}
      />
    </li>
  );
}
