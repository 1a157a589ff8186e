import { SCORES, type Analysis, type ExplainedScore, type Score } from "../../api/analysis";
import type { AnalysisTranslations } from "../../i18n/analysis";
import classes from "./FeatureTable.module.css";
import { featureName, formatMeasure, formatSigned } from "./formatScores";

interface Props {
  analysis: Analysis;
  t: AnalysisTranslations;
}

/** All measured features, and their contributions to the scores. */
export function FeatureTable({ analysis, t }: Props) {
  const { features, scores } = analysis;
  const names = Object.keys(t.features);
  const rest = Object.keys(features).filter((name) => !(name in t.features));
  return (
    <details className={classes.features}>
      <summary>{t.table}</summary>
      <div className={classes.scroll} tabIndex={0} role="region" aria-label={t.table}>
        <table>
          <thead>
            <tr>
              <th scope="col">{t.feature}</th>
              <th scope="col">{t.measured}</th>
              {scores &&
                SCORES.map((score) => (
                  <th scope="col" key={score}>
                    {t.scores[score]}
                  </th>
                ))}
            </tr>
          </thead>
          <tbody>
            {[...names, ...rest].map((name) => {
              const value = features[name];
              return (
                <tr key={name} data-feature={name}>
                  <th scope="row">{featureName(name, t)}</th>
                  <td>
                    {typeof value === "number" ? formatMeasure(name, value, t) : <small>{t.untold}</small>}
                  </td>
                  {scores && SCORES.map((score) => <td key={score}>{contributionOf(scores[score], name)}</td>)}
                </tr>
              );
            })}
            {scores && <BiasRow scores={scores} t={t} />}
          </tbody>
        </table>
      </div>
    </details>
  );
}

function BiasRow({ scores, t }: { scores: Record<Score, ExplainedScore>; t: AnalysisTranslations }) {
  return (
    <tr>
      <th scope="row">{t.start}</th>
      <td />
      {SCORES.map((score) => (
        <td key={score}>{formatSigned(scores[score].bias)}</td>
      ))}
    </tr>
  );
}

function contributionOf(score: ExplainedScore, feature: string): string {
  const found = score.contributions.find((one) => one.feature === feature);
  return found ? formatSigned(found.amount) : "";
}
