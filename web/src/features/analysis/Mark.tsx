import { Tooltip, UnstyledButton } from "@mantine/core";

import { useWords } from "../../i18n";
import type { Analysed } from "../../realtime/protocol";
import classes from "./Mark.module.css";
import { points } from "./points";

const HEIGHT = 16;

interface Props {
  analysis: Analysed;
  opened: boolean;
  onClick: () => void;
}

/** Three scores at a glance; behind it is what they consist of. */
export function Mark({ analysis, opened, onClick }: Props) {
  const { manner } = useWords();
  const { confidence, stability, affability } = analysis;
  const values = { confidence: confidence ?? 0, stability: stability ?? 0, affability: affability ?? 0 };
  const [first, second, third] = Object.values(values).map((value) => String(points(value)));
  return (
    <Tooltip label={manner.open} openDelay={400}>
      <UnstyledButton
        className={classes.mark}
        onClick={onClick}
        aria-expanded={opened}
        aria-label={manner.scored(first ?? "", second ?? "", third ?? "")}
        data-analysis="scored"
      >
        <svg width={22} height={HEIGHT} aria-hidden="true" focusable="false">
          {Object.entries(values).map(([score, value], index) => {
            const height = Math.max(2, value * HEIGHT);
            return (
              <g key={score}>
                <rect className={classes.track} x={index * 8} width={5} height={HEIGHT} rx={2} />
                <rect data-score={score} x={index * 8} y={HEIGHT - height} width={5} height={height} rx={2} />
              </g>
            );
          })}
        </svg>
      </UnstyledButton>
    </Tooltip>
  );
}
