import { SCORES, type Analysis, type OneScore, type Score } from "../../api/analysis";
import type { AnalysisWords } from "../../i18n/analysis";
import classes from "./Features.module.css";
import { measured, nameOf, signed } from "./telling";

interface Props {
  analysis: Analysis;
  words: AnalysisWords;
}

/** Everything that was measured, and what it added to which score. */
export function Features({ analysis, words }: Props) {
  const { features, scores } = analysis;
  const names = Object.keys(words.features);
  const rest = Object.keys(features).filter((name) => !(name in words.features));
  return (
    <details className={classes.features}>
      <summary>{words.table}</summary>
      <div className={classes.scroll} tabIndex={0} role="region" aria-label={words.table}>
        <table>
          <thead>
            <tr>
              <th scope="col">{words.feature}</th>
              <th scope="col">{words.measured}</th>
              {scores &&
                SCORES.map((score) => (
                  <th scope="col" key={score}>
                    {words.scores[score]}
                  </th>
                ))}
            </tr>
          </thead>
          <tbody>
            {[...names, ...rest].map((name) => {
              const value = features[name];
              return (
                <tr key={name} data-feature={name}>
                  <th scope="row">{nameOf(name, words)}</th>
                  <td>
                    {typeof value === "number" ? measured(name, value, words) : <small>{words.untold}</small>}
                  </td>
                  {scores && SCORES.map((score) => <td key={score}>{added(scores[score], name)}</td>)}
                </tr>
              );
            })}
            {scores && <Start scores={scores} words={words} />}
          </tbody>
        </table>
      </div>
    </details>
  );
}

function Start({ scores, words }: { scores: Record<Score, OneScore>; words: AnalysisWords }) {
  return (
    <tr>
      <th scope="row">{words.start}</th>
      <td />
      {SCORES.map((score) => (
        <td key={score}>{signed(scores[score].bias)}</td>
      ))}
    </tr>
  );
}

function added(score: OneScore, feature: string): string {
  const found = score.contributions.find((one) => one.feature === feature);
  return found ? signed(found.amount) : "";
}
