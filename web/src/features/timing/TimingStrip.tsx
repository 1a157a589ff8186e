import { Popover, UnstyledButton } from "@mantine/core";
import { useEffect, useRef } from "react";

import { useTranslations } from "../../i18n";
import type { Timing } from "../../realtime/protocol";
import { formatSeconds, responseMs, stages, type Stage } from "./timing";
import classes from "./TimingStrip.module.css";

/** Response time as a small bar that opens the details. */
export function TimingStrip({ timing }: { timing: Timing }) {
  const t = useTranslations();
  const total = responseMs(timing);
  if (total === null) return null;
  const parts = stages(timing);
  return (
    <Popover width={320} position="top-start" shadow="md" radius="lg" trapFocus returnFocus>
      <Popover.Target>
        <UnstyledButton className={classes.strip} aria-label={t.timing.open(formatSeconds(total))} data-timing>
          <Bar parts={parts} total={total} />
          <span>{t.timing.seconds(formatSeconds(total))}</span>
        </UnstyledButton>
      </Popover.Target>
      <Popover.Dropdown aria-label={t.timing.title}>
        <h3 className={classes.title}>{t.timing.title}</h3>
        <Bar parts={parts} total={total} wide />
        <dl className={classes.table}>
          {parts.map((part) => (
            <div key={part.name}>
              <dt>
                <i data-stage={part.name} aria-hidden="true" />
                {t.timing[part.name]}
              </dt>
              <dd>{t.timing.seconds(formatSeconds(part.atMs))}</dd>
            </div>
          ))}
        </dl>
        <p className={classes.note}>{t.timing.from}</p>
        <dl className={classes.table} data-small>
          <Row name={t.timing.speech} seconds={timing.speech_s} digits={1} />
          <Row name={t.timing.recognition} seconds={timing.recognition_s} digits={2} />
          <Row name={t.timing.reply} seconds={timing.reply_audio_s} digits={1} />
        </dl>
        {timing.tokens > 0 && <p className={classes.note}>{t.timing.writing(timing.tokens)}</p>}
      </Popover.Dropdown>
    </Popover>
  );
}

/** Empty for what did not happen, such as speech in a typed turn. */
function Row({ name, seconds: taken, digits }: { name: string; seconds: number; digits: number }) {
  const t = useTranslations();
  if (taken <= 0) return null;
  return (
    <div>
      <dt>{name}</dt>
      <dd>{t.timing.seconds(taken.toFixed(digits))}</dd>
    </div>
  );
}

function Bar({ parts, total, wide = false }: { parts: Stage[]; total: number; wide?: boolean }) {
  const bar = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    const pieces = bar.current?.children ?? [];
    parts.forEach((part, index) => {
      const piece = pieces[index];
      if (piece instanceof HTMLElement) piece.style.flexGrow = String(part.tookMs / Math.max(1, total));
    });
  }, [parts, total]);
  return (
    <span className={classes.bar} ref={bar} data-wide={wide || undefined} aria-hidden="true">
      {parts.map((part) => (
        <i key={part.name} data-stage={part.name} />
      ))}
    </span>
  );
}
