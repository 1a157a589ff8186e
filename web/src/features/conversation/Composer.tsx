import { ActionIcon, Textarea } from "@mantine/core";
import { IconArrowUp } from "@tabler/icons-react";
import { useState } from "react";

import { client } from "../../app/client";
import { useWords } from "../../i18n";
import classes from "./Composer.module.css";

const LONGEST = 4_000;

/** Typing instead of speaking. */
export function Composer() {
  const words = useWords();
  const [text, setText] = useState("");
  const send = () => {
    const said = text.trim();
    if (said === "") return;
    setText("");
    void client.type(said).then((sent) => {
      if (!sent) setText((now) => now || said); // what was written is not lost
    });
  };
  return (
    <form
      className={classes.composer}
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <Textarea
        variant="unstyled"
        className={classes.input}
        aria-label={words.compose.label}
        placeholder={words.compose.placeholder}
        autosize
        minRows={1}
        maxRows={6}
        maxLength={LONGEST}
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
        onKeyDown={(event) => {
          // Enter chooses a candidate while an input method is composing.
          if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
          event.preventDefault();
          send();
        }}
      />
      <ActionIcon type="submit" radius="xl" size={36} disabled={text.trim() === ""} aria-label={words.compose.send}>
        <IconArrowUp size={20} stroke={2} />
      </ActionIcon>
    </form>
  );
}
