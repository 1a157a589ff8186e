import { ActionIcon, Button, Loader, Textarea, Tooltip } from "@mantine/core";
import { IconCheck, IconCopy, IconGauge, IconPencil, IconVolume } from "@tabler/icons-react";
import { lazy, memo, Suspense, useState } from "react";

import { client } from "../../app/client";
import { useWords } from "../../i18n";
import type { Line } from "../../realtime/session";
import type { Position } from "../../realtime/transport";
import { Mark } from "../analysis/Mark";
import { Dots } from "./Dots";
import { TimingStrip } from "../timing/TimingStrip";
import classes from "./LineView.module.css";
import { ReplyText } from "./ReplyText";
import { TierMark } from "./TierMark";

const Panel = lazy(() => import("../analysis/Panel"));
const Replay = lazy(() => import("./Replay"));

interface Props {
  line: Line;
  position: Position | null;
  /** It is heard in its beautiful rendering now. */
  encore: boolean;
}

/** One utterance of either side, with what can be done with it. */
export const LineView = memo(function LineView({ line, position, encore }: Props) {
  const words = useWords();
  const [editing, setEditing] = useState(false);
  const [replaying, setReplaying] = useState(false);
  const [analysing, setAnalysing] = useState(false);
  const mine = line.side === "user";
  const settled = encore || (line.status !== "hearing" && line.status !== "recognising" && line.status !== "writing");
  const failure = line.failure && (line.failure.apology || line.failure.message);
  return (
    <li className={classes.line} data-side={line.side} data-status={line.status}>
      <span className="km-hidden">{mine ? words.line.you : words.line.assistant}</span>
      {editing ? (
        <Editor line={line} onDone={() => setEditing(false)} />
      ) : (
        <div className={classes.said}>{mine ? <UserText line={line} /> : <ReplyText line={line} position={position} />}</div>
      )}
      {failure && !(line.text && failure.startsWith(line.text)) && <p className={classes.failure}>{failure}</p>}
      {settled && !editing && (
        <div className={classes.tools}>
          {line.timing && <TimingStrip timing={line.timing} />}
          {line.hq && <TierMark hq={line.hq} playing={encore} />}
          {line.audio && (
            <Tool label={replaying ? words.close : words.line.replay} onClick={() => setReplaying(!replaying)} on={replaying}>
              <IconVolume size={17} stroke={1.7} />
            </Tool>
          )}
          {line.audio && line.analysis?.state !== "scored" && (
            <Tool label={analysing ? words.manner.close : words.manner.open} onClick={() => setAnalysing(!analysing)} on={analysing}>
              <IconGauge size={17} stroke={1.7} />
            </Tool>
          )}
          {line.audio && line.analysis?.state === "scored" && (
            <Mark analysis={line.analysis} opened={analysing} onClick={() => setAnalysing(!analysing)} />
          )}
          {line.silenced && <small className={classes.silenced}>{words.line.silenced}</small>}
          {line.text && <Copy text={line.text} />}
          {mine && line.text && (
            <Tool label={words.line.edit} onClick={() => setEditing(true)}>
              <IconPencil size={17} stroke={1.7} />
            </Tool>
          )}
        </div>
      )}
      {replaying && line.audio && (
        <Suspense fallback={<Loader size="xs" type="dots" />}>
          <Replay audio={line.audio} hq={line.hq?.audio ?? null} />
        </Suspense>
      )}
      {analysing && line.audio && line.recording && (
        <Suspense fallback={<Loader size="xs" type="dots" />}>
          <Panel utterance={line.recording} audio={line.audio} />
        </Suspense>
      )}
    </li>
  );
});

function UserText({ line }: { line: Line }) {
  const words = useWords();
  if (line.status === "hearing") {
    return (
      <>
        {line.text}
        <Dots small />
      </>
    );
  }
  if (line.status === "recognising") return line.text ? <>{line.text}</> : <em>{words.line.recognising}</em>;
  return line.text ? <>{line.text}</> : <em>{words.line.unheard}</em>;
}

function Editor({ line, onDone }: { line: Line; onDone: () => void }) {
  const words = useWords();
  const [text, setText] = useState(line.text);
  return (
    <form
      className={classes.editor}
      onSubmit={(event) => {
        event.preventDefault();
        onDone();
        void client.retype(line, text.trim());
      }}
    >
      <Textarea
        aria-label={words.line.edit}
        autosize
        minRows={2}
        maxRows={8}
        data-autofocus
        autoFocus
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Escape") {
            event.preventDefault();
            onDone();
          }
        }}
      />
      <div className={classes.buttons}>
        <Button variant="default" size="xs" onClick={onDone}>
          {words.cancel}
        </Button>
        <Button type="submit" size="xs" disabled={text.trim() === ""}>
          {words.line.resend}
        </Button>
      </div>
    </form>
  );
}

function Copy({ text }: { text: string }) {
  const words = useWords();
  const [copied, setCopied] = useState(false);
  const copy = () => {
    // Not given to pages from plain http.
    void navigator.clipboard?.writeText(text).then(() => {
      setCopied(true);
      setTimeout(() => setCopied(false), 1_500);
    });
  };
  return (
    <Tool label={copied ? words.line.copied : words.line.copy} onClick={copy}>
      {copied ? <IconCheck size={17} stroke={1.9} /> : <IconCopy size={17} stroke={1.7} />}
    </Tool>
  );
}

interface ToolProps {
  label: string;
  onClick: () => void;
  on?: boolean;
  children: React.ReactNode;
}

function Tool({ label, onClick, on, children }: ToolProps) {
  return (
    <Tooltip label={label} openDelay={400}>
      <ActionIcon
        variant="subtle"
        color="gray"
        size={32}
        className={classes.tool}
        onClick={onClick}
        aria-label={label}
        aria-expanded={on}
      >
        {children}
      </ActionIcon>
    </Tooltip>
  );
}
