import { useEffect, useRef } from "react";

import { prefersReducedMotion } from "./reducedMotion";
import classes from "./TypingIndicator.module.css";

const STEP_INTERVAL_MS = 300;

interface Props {
  /** Small, beside text. */
  small?: boolean;
}

/**
 * Typing indicator.
 *
 * Stepped by a timer: a CSS animation repaints at 60 Hz and competes with inference for CPU.
 */
export function TypingIndicator({ small }: Props) {
  const dots = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    if (prefersReducedMotion()) return undefined;
    let step = 0;
    const timer = setInterval(() => dots.current?.setAttribute("data-step", String(step++ % 4)), STEP_INTERVAL_MS);
    return () => clearInterval(timer);
  }, []);
  return (
    <span ref={dots} className={classes.indicator} data-small={small || undefined} aria-hidden="true">
      <i />
      <i />
      <i />
    </span>
  );
}
