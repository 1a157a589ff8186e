import { ActionIcon, Button, Loader, Textarea, Tooltip } from "@mantine/core";
import { IconCheck, IconCopy, IconGauge, IconPencil, IconVolume } from "@tabler/icons-react";
import { lazy, memo, Suspense, useState } from "react";

import { useTranslations } from "../../i18n";
import type { Message } from "../../realtime/session";
import type { PlaybackPosition } from "../../realtime/transport";
import { client } from "../../shared/client";
import { ScoreBadge } from "../analysis/ScoreBadge";
import { TimingStrip } from "../timing/TimingStrip";
import classes from "./MessageView.module.css";
import { QualityBadge } from "./QualityBadge";
import { ReplyText } from "./ReplyText";
import { TypingIndicator } from "./TypingIndicator";

const AnalysisPanel = lazy(() => import("../analysis/AnalysisPanel"));
const Replay = lazy(() => import("./Replay"));

interface Props {
  message: Message;
  position: PlaybackPosition | null;
  /** Its HQ rendering is playing. */
  hqPlaying: boolean;
}

/** One message of the user or the assistant, with its actions. */
export const MessageView = memo(function MessageView({ message, position, hqPlaying }: Props) {
  const t = useTranslations();
  const [editing, setEditing] = useState(false);
  const [replaying, setReplaying] = useState(false);
  const [analysing, setAnalysing] = useState(false);
  const isUser = message.role === "user";
  const settled = hqPlaying || (message.status !== "hearing" && message.status !== "recognising" && message.status !== "writing");
  const failure = message.failure && (message.failure.apology || message.failure.message);
  return (
    <li className={classes.message} data-side={message.role} data-status={message.status}>
      <span className="km-hidden">{isUser ? t.message.you : t.message.assistant}</span>
      {editing ? (
        <MessageEditor message={message} onDone={() => setEditing(false)} />
      ) : (
        <div className={classes.text}>
          {isUser ? <UserText message={message} /> : <ReplyText message={message} position={position} />}
        </div>
      )}
      {failure && !(message.text && failure.startsWith(message.text)) && <p className={classes.failure}>{failure}</p>}
      {settled && !editing && (
        <div className={classes.actions}>
          {message.timing && <TimingStrip timing={message.timing} />}
          {message.hq && <QualityBadge hq={message.hq} playing={hqPlaying} />}
          {message.audio && (
            <MessageAction label={replaying ? t.close : t.message.replay} onClick={() => setReplaying(!replaying)} on={replaying}>
              <IconVolume size={17} stroke={1.7} />
            </MessageAction>
          )}
          {message.audio && message.analysis?.state !== "scored" && (
            <MessageAction label={analysing ? t.analysis.close : t.analysis.open} onClick={() => setAnalysing(!analysing)} on={analysing}>
              <IconGauge size={17} stroke={1.7} />
            </MessageAction>
          )}
          {message.audio && message.analysis?.state === "scored" && (
            <ScoreBadge analysis={message.analysis} opened={analysing} onClick={() => setAnalysing(!analysing)} />
          )}
          {message.audioDeleted && <small className={classes.audioDeleted}>{t.message.silenced}</small>}
          {message.text && <CopyAction text={message.text} />}
          {isUser && message.text && (
            <MessageAction label={t.message.edit} onClick={() => setEditing(true)}>
              <IconPencil size={17} stroke={1.7} />
            </MessageAction>
          )}
        </div>
      )}
      {replaying && message.audio && (
        <Suspense fallback={<Loader size="xs" type="dots" />}>
          <Replay audio={message.audio} hq={message.hq?.audio ?? null} />
        </Suspense>
      )}
      {analysing && message.audio && message.recordingId && (
        <Suspense fallback={<Loader size="xs" type="dots" />}>
          <AnalysisPanel utterance={message.recordingId} audio={message.audio} />
        </Suspense>
      )}
    </li>
  );
});

function UserText({ message }: { message: Message }) {
  const t = useTranslations();
  if (message.status === "hearing") {
    return (
      <>
        {message.text}
        <TypingIndicator small />
      </>
    );
  }
  if (message.status === "recognising") return message.text ? <>{message.text}</> : <em>{t.message.recognising}</em>;
  return message.text ? <>{message.text}</> : <em>{t.message.unheard}</em>;
}

function MessageEditor({ message, onDone }: { message: Message; onDone: () => void }) {
  const t = useTranslations();
  const [text, setText] = useState(message.text);
  return (
    <form
      className={classes.editor}
      onSubmit={(event) => {
        event.preventDefault();
        onDone();
        void client.editMessage(message, text.trim());
      }}
    >
      <Textarea
        aria-label={t.message.edit}
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
          {t.cancel}
        </Button>
        <Button type="submit" size="xs" disabled={text.trim() === ""}>
          {t.message.resend}
        </Button>
      </div>
    </form>
  );
}

function CopyAction({ text }: { text: string }) {
  const t = useTranslations();
  const [copied, setCopied] = useState(false);
  const copy = () => {
    // `navigator.clipboard` is not available on pages from plain http.
    void navigator.clipboard?.writeText(text).then(() => {
      setCopied(true);
      setTimeout(() => setCopied(false), 1_500);
    });
  };
  return (
    <MessageAction label={copied ? t.message.copied : t.message.copy} onClick={copy}>
      {copied ? <IconCheck size={17} stroke={1.9} /> : <IconCopy size={17} stroke={1.7} />}
    </MessageAction>
  );
}

interface MessageActionProps {
  label: string;
  onClick: () => void;
  on?: boolean;
  children: React.ReactNode;
}

function MessageAction({ label, onClick, on, children }: MessageActionProps) {
  return (
    <Tooltip label={label} openDelay={400}>
      <ActionIcon
        variant="subtle"
        color="gray"
        size={32}
        className={classes.action}
        onClick={onClick}
        aria-label={label}
        aria-expanded={on}
      >
        {children}
      </ActionIcon>
    </Tooltip>
  );
}
