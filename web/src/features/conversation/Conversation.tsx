import { useEffect, useRef, useState } from "react";

import { useTranslations } from "../../i18n";
import type { PlaybackPosition } from "../../realtime/transport";
import { client, useClient } from "../../shared/client";
import classes from "./Conversation.module.css";
import { MessageView } from "./MessageView";

/** The list follows new messages while it is scrolled this near to its end. */
const FOLLOW_PX = 120;

export function Conversation() {
  const t = useTranslations();
  const { session, hqItemId } = useClient();
  const list = useRef<HTMLDivElement>(null);
  const following = useRef(true);
  const speaking = session.phase === "speaking" || session.response !== null || hqItemId !== null;
  const position = usePlaybackPosition(speaking);
  const latest = session.messages.at(-1);

  useEffect(() => {
    const element = list.current;
    if (element && following.current) element.scrollTop = element.scrollHeight;
  }, [session.messages.length, latest?.text, latest?.status]);

  if (session.messages.length === 0) return null;
  const spoken = session.messages.findLast((message) => message.status === "hearing");
  return (
    <div
      className={classes.scroll}
      ref={list}
      onScroll={({ currentTarget: at }) => {
        following.current = at.scrollHeight - at.scrollTop - at.clientHeight < FOLLOW_PX;
      }}
      tabIndex={0}
      role="region"
      aria-label={t.message.conversation}
    >
      <ol className={classes.list}>
        {session.messages.map((message) => (
          <MessageView
            key={message.id}
            message={message}
            position={position?.itemId === message.id ? position : null}
            hqPlaying={hqItemId === message.id}
          />
        ))}
      </ol>
      <Announcer text={latest?.status === "hearing" ? "" : (latest?.text ?? "")} done={latest?.status !== "writing"} />
      <div className="km-hidden" role="status" aria-label={t.message.caption}>
        {spoken?.text ?? ""}
      </div>
    </div>
  );
}

/** Announces each message to screen readers once it is complete: a growing one would be read repeatedly. */
function Announcer({ text, done }: { text: string; done: boolean }) {
  const [announced, setAnnounced] = useState("");
  useEffect(() => {
    if (done) setAnnounced(text);
  }, [text, done]);
  return (
    <div className="km-hidden" role="log" aria-live="polite">
      {announced}
    </div>
  );
}

function samePosition(one: PlaybackPosition | null, other: PlaybackPosition | null): boolean {
  return one?.itemId === other?.itemId && one?.ms === other?.ms && one?.silent === other?.silent;
}

/** Position of the listener in the reply, updated about twelve times a second. */
function usePlaybackPosition(speaking: boolean): PlaybackPosition | null {
  const [position, setPosition] = useState<PlaybackPosition | null>(null);
  useEffect(() => {
    const update = () => {
      const now = client.position();
      setPosition((known) => (samePosition(known, now) ? known : now));
    };
    update();
    const timer = setInterval(update, speaking ? 80 : 250);
    return () => clearInterval(timer);
  }, [speaking]);
  return position;
}
