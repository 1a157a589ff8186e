import { Loader, Tooltip } from "@mantine/core";
import { IconAlertTriangle, IconSparkles } from "@tabler/icons-react";

import { useWords } from "../../i18n";
import type { Hq } from "../../realtime/session";
import classes from "./TierMark.module.css";

interface Props {
  hq: Hq;
  /** It is being heard now, in place of the fast one. */
  playing: boolean;
}

/** How far the beautiful rendering of a reply is. */
export function TierMark({ hq, playing }: Props) {
  const words = useWords().tiers;
  const pending = hq.state === "queued" || hq.state === "rendering";
  const told = pending ? words.pending : hq.state === "failed" ? words.failed : playing ? words.playing : words.ready;
  return (
    <Tooltip label={told} openDelay={300}>
      <span className={classes.mark} data-tier={playing ? "playing" : hq.state} role="img" aria-label={told}>
        {pending && <Loader size={11} color="currentColor" aria-hidden="true" />}
        {hq.state === "ready" && <IconSparkles size={13} stroke={1.8} aria-hidden="true" />}
        {hq.state === "failed" && <IconAlertTriangle size={13} stroke={1.8} aria-hidden="true" />}
        <span aria-hidden="true">{pending ? words.pendingShort : words.hq}</span>
      </span>
    </Tooltip>
  );
}
