import { usePreferences } from "../../app/preferences";
import { enAnalysis, zhAnalysis, type AnalysisWords } from "../../i18n/analysis";

export function useAnalysisWords(): AnalysisWords {
  return usePreferences().locale === "en" ? enAnalysis : zhAnalysis;
}
