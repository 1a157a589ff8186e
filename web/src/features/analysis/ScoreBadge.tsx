import { Tooltip, UnstyledButton } from "@mantine/core";

import { useTranslations } from "../../i18n";
import type { AnalysisSummary } from "../../realtime/protocol";
import classes from "./ScoreBadge.module.css";
import { scorePoints } from "./scorePoints";

const HEIGHT = 16;

interface Props {
  analysis: AnalysisSummary;
  opened: boolean;
  onClick: () => void;
}

/** The three scores as small bars; opens the analysis. */
export function ScoreBadge({ analysis, opened, onClick }: Props) {
  const { analysis: labels } = useTranslations();
  const { confidence, stability, affability } = analysis;
  const values = { confidence: confidence ?? 0, stability: stability ?? 0, affability: affability ?? 0 };
  const [first, second, third] = Object.values(values).map((value) => String(scorePoints(value)));
  return (
    <Tooltip label={labels.open} openDelay={400}>
      <UnstyledButton
        className={classes.badge}
        onClick={onClick}
        aria-expanded={opened}
        aria-label={labels.scored(first ?? "", second ?? "", third ?? "")}
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
