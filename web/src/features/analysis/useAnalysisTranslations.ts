import { enAnalysis, zhAnalysis, type AnalysisTranslations } from "../../i18n/analysis";
import { usePreferences } from "../../shared/preferences";

export function useAnalysisTranslations(): AnalysisTranslations {
  return usePreferences().locale === "en" ? enAnalysis : zhAnalysis;
}
