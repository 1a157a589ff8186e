import { Popover, UnstyledButton } from "@mantine/core";
import { useEffect, useRef } from "react";

import { useWords } from "../../i18n";
import type { Timing } from "../../realtime/protocol";
import { responseMs, seconds, stages, type Stage } from "./timing";
import classes from "./TimingStrip.module.css";

/** How long the answer took, as a small bar one can open. */
export function TimingStrip({ timing }: { timing: Timing }) {
  const words = useWords();
  const total = responseMs(timing);
  if (total === null) return null;
  const parts = stages(timing);
  return (
    <Popover width={320} position="top-start" shadow="md" radius="lg" trapFocus returnFocus>
      <Popover.Target>
        <UnstyledButton className={classes.strip} aria-label={words.timing.open(seconds(total))} data-timing>
          <Bar parts={parts} total={total} />
          <span>{words.timing.seconds(seconds(total))}</span>
        </UnstyledButton>
      </Popover.Target>
      <Popover.Dropdown aria-label={words.timing.title}>
        <h3 className={classes.title}>{words.timing.title}</h3>
        <Bar parts={parts} total={total} wide />
        <dl className={classes.table}>
          {parts.map((part) => (
            <div key={part.name}>
              <dt>
                <i data-stage={part.name} aria-hidden="true" />
                {words.timing[part.name]}
              </dt>
              <dd>{words.timing.seconds(seconds(part.atMs))}</dd>
            </div>
          ))}
        </dl>
        <p className={classes.note}>{words.timing.from}</p>
        <dl className={classes.table} data-small>
          <Row name={words.timing.speech} seconds={timing.speech_s} digits={1} />
          <Row name={words.timing.recognition} seconds={timing.recognition_s} digits={2} />
          <Row name={words.timing.reply} seconds={timing.reply_audio_s} digits={1} />
        </dl>
        {timing.tokens > 0 && <p className={classes.note}>{words.timing.writing(timing.tokens)}</p>}
      </Popover.Dropdown>
    </Popover>
  );
}

/** Nothing for what did not happen: somebody who types has not spoken. */
function Row({ name, seconds: taken, digits }: { name: string; seconds: number; digits: number }) {
  const words = useWords();
  if (taken <= 0) return null;
  return (
    <div>
      <dt>{name}</dt>
      <dd>{words.timing.seconds(taken.toFixed(digits))}</dd>
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
