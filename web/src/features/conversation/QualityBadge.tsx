import { Loader, Tooltip } from "@mantine/core";
import { IconAlertTriangle, IconSparkles } from "@tabler/icons-react";

import { useTranslations } from "../../i18n";
import type { HqRendering } from "../../realtime/session";
import classes from "./QualityBadge.module.css";

interface Props {
  hq: HqRendering;
  /** The HQ rendering is playing in place of the fast one. */
  playing: boolean;
}

/** State of the HQ rendering of a reply. */
export function QualityBadge({ hq, playing }: Props) {
  const t = useTranslations().quality;
  const pending = hq.state === "queued" || hq.state === "rendering";
  const label = pending ? t.pending : hq.state === "failed" ? t.failed : playing ? t.playing : t.ready;
  return (
    <Tooltip label={label} openDelay={300}>
      <span className={classes.badge} data-tier={playing ? "playing" : hq.state} role="img" aria-label={label}>
        {pending && <Loader size={11} color="currentColor" aria-hidden="true" />}
        {hq.state === "ready" && <IconSparkles size={13} stroke={1.8} aria-hidden="true" />}
        {hq.state === "failed" && <IconAlertTriangle size={13} stroke={1.8} aria-hidden="true" />}
        <span aria-hidden="true">{pending ? t.pendingShort : t.hq}</span>
      </span>
    </Tooltip>
  );
}
