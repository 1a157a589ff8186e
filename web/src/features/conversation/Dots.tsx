import { useEffect, useRef } from "react";

import classes from "./Dots.module.css";
import { still } from "./still";

const STEP_MS = 300;

interface Props {
  /** Small ones stand beside words. */
  small?: boolean;
}

/** Something is on its way. A style's animation would be drawn sixty times a second, on the cores that it waits for. */
export function Dots({ small }: Props) {
  const dots = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    if (still()) return undefined;
    let step = 0;
    const timer = setInterval(() => dots.current?.setAttribute("data-step", String(step++ % 4)), STEP_MS);
    return () => clearInterval(timer);
  }, []);
  return (
    <span ref={dots} className={classes.dots} data-small={small || undefined} aria-hidden="true">
      <i />
      <i />
      <i />
    </span>
  );
}
