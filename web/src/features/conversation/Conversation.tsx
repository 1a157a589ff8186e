import { useEffect, useRef, useState } from "react";

import { client, useClient } from "../../app/client";
import { useWords } from "../../i18n";
import type { Position } from "../../realtime/transport";
import classes from "./Conversation.module.css";
import { LineView } from "./LineView";

/** Nearer to the end than this, and the list follows what is said. */
const FOLLOW_PX = 120;

export function Conversation() {
  const words = useWords();
  const { session, encore } = useClient();
  const list = useRef<HTMLDivElement>(null);
  const following = useRef(true);
  const speaking = session.phase === "speaking" || session.response !== null || encore !== null;
  const position = usePosition(speaking);
  const latest = session.lines.at(-1);

  useEffect(() => {
    const element = list.current;
    if (element && following.current) element.scrollTop = element.scrollHeight;
  }, [session.lines.length, latest?.text, latest?.status]);

  if (session.lines.length === 0) return null;
  const heard = session.lines.findLast((line) => line.status === "hearing");
  return (
    <div
      className={classes.scroll}
      ref={list}
      onScroll={({ currentTarget: at }) => {
        following.current = at.scrollHeight - at.scrollTop - at.clientHeight < FOLLOW_PX;
      }}
      tabIndex={0}
      role="region"
      aria-label={words.line.conversation}
    >
      <ol className={classes.list}>
        {session.lines.map((line) => (
          <LineView
            key={line.id}
            line={line}
            position={position?.itemId === line.id ? position : null}
            encore={encore === line.id}
          />
        ))}
      </ol>
      <Announcer text={latest?.status === "hearing" ? "" : (latest?.text ?? "")} done={latest?.status !== "writing"} />
      <div className="km-hidden" role="status" aria-label={words.line.caption}>
        {heard?.text ?? ""}
      </div>
    </div>
  );
}

/** Tells a screen reader each line once, when it is whole: a reply that grows would be read over and over. */
function Announcer({ text, done }: { text: string; done: boolean }) {
  const [told, setTold] = useState("");
  useEffect(() => {
    if (done) setTold(text);
  }, [text, done]);
  return (
    <div className="km-hidden" role="log" aria-live="polite">
      {told}
    </div>
  );
}

function same(one: Position | null, other: Position | null): boolean {
  return one?.itemId === other?.itemId && one?.ms === other?.ms && one?.silent === other?.silent;
}

/** Where the listener is in the reply, some twelve times a second. */
function usePosition(speaking: boolean): Position | null {
  const [position, setPosition] = useState<Position | null>(null);
  useEffect(() => {
    const look = () => {
      const now = client.position();
      setPosition((known) => (same(known, now) ? known : now));
    };
    look();
    const timer = setInterval(look, speaking ? 80 : 250);
    return () => clearInterval(timer);
  }, [speaking]);
  return position;
}
