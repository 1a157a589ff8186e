import { IconAlertTriangle, IconCircleCheck, IconCircleX } from "@tabler/icons-react";

import type { EnrolmentCheck } from "../../api/voices";
import { useTranslations } from "../../i18n";
import { usePreferences } from "../../shared/preferences";
import classes from "./EnrolmentChecks.module.css";

/** Units that non-engineers understand. */
const DISPLAYED_UNITS: ReadonlySet<string> = new Set(["s", "%", "dB", "dBFS"]);
const ICONS = { ok: IconCircleCheck, warning: IconAlertTriangle, refused: IconCircleX };

/** Results of the enrolment checks: a verdict and advice for each. */
export function EnrolmentChecks({ checks }: { checks: readonly EnrolmentCheck[] }) {
  const labels = useTranslations().clonedVoices;
  const english = usePreferences().locale === "en";
  if (checks.length === 0) return null;
  return (
    <section aria-label={labels.checks}>
      <h5 className={classes.title}>{labels.checks}</h5>
      <ul className={classes.checks}>
        {checks.map(({ check, verdict, value, unit, advice }) => {
          const Icon = ICONS[verdict];
          return (
            <li key={check} data-check={check} data-verdict={verdict}>
              <Icon size={17} stroke={1.8} aria-hidden="true" />
              <div>
                <p>
                  <strong>{labels.kinds[check] ?? check}</strong> <span className={classes.verdict}>{labels[verdict]}</span>{" "}
                  {value !== null && DISPLAYED_UNITS.has(unit) && <small>{`${Math.round(value * 10) / 10} ${unit}`}</small>}
                </p>
                <p className={classes.advice}>{english ? advice.en : advice.zh}</p>
              </div>
            </li>
          );
        })}
      </ul>
    </section>
  );
}
