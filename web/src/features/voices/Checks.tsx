import { IconAlertTriangle, IconCircleCheck, IconCircleX } from "@tabler/icons-react";

import type { Check } from "../../api/voices";
import { usePreferences } from "../../app/preferences";
import { useWords } from "../../i18n";
import classes from "./Checks.module.css";

/** Units that say something to who is no engineer. */
const FOR_PEOPLE: ReadonlySet<string> = new Set(["s", "%", "dB", "dBFS"]);
const ICONS = { ok: IconCircleCheck, warning: IconAlertTriangle, refused: IconCircleX };

/** What was found in a recording: for each thing a verdict, and what to do. */
export function Checks({ checks }: { checks: readonly Check[] }) {
  const own = useWords().own;
  const english = usePreferences().locale === "en";
  if (checks.length === 0) return null;
  return (
    <section aria-label={own.checks}>
      <h5 className={classes.title}>{own.checks}</h5>
      <ul className={classes.checks}>
        {checks.map(({ check, verdict, value, unit, advice }) => {
          const Icon = ICONS[verdict];
          return (
            <li key={check} data-check={check} data-verdict={verdict}>
              <Icon size={17} stroke={1.8} aria-hidden="true" />
              <div>
                <p>
                  <strong>{own.kinds[check] ?? check}</strong> <span className={classes.verdict}>{own[verdict]}</span>{" "}
                  {value !== null && FOR_PEOPLE.has(unit) && <small>{`${Math.round(value * 10) / 10} ${unit}`}</small>}
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
