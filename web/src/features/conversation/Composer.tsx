import { ActionIcon, Textarea } from "@mantine/core";
import { IconArrowUp } from "@tabler/icons-react";
import { useState } from "react";

import { useTranslations } from "../../i18n";
import { client } from "../../shared/client";
import classes from "./Composer.module.css";

const MAX_LENGTH = 4_000;

/** Text input for typing instead of speaking. */
export function Composer() {
  const t = useTranslations();
  const [text, setText] = useState("");
  const send = () => {
    const message = text.trim();
    if (message === "") return;
    setText("");
    void client.sendText(message).then((sent) => {
      if (!sent) setText((now) => now || message); // keep the text that could not be sent
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
        aria-label={t.compose.label}
        placeholder={t.compose.placeholder}
        autosize
        minRows={1}
        maxRows={6}
        maxLength={MAX_LENGTH}
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
        onKeyDown={(event) => {
          // Enter selects a candidate while an input method is composing.
          if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
          event.preventDefault();
          send();
        }}
      />
      <ActionIcon type="submit" radius="xl" size={36} disabled={text.trim() === ""} aria-label={t.compose.send}>
        <IconArrowUp size={20} stroke={2} />
      </ActionIcon>
    </form>
  );
}
