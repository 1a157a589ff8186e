import "@mantine/core/styles.css";
import "./app/tokens.css";

import { MantineProvider } from "@mantine/core";
import { useColorScheme } from "@mantine/hooks";
import { lazy, StrictMode, Suspense } from "react";
import { createRoot } from "react-dom/client";

import { App } from "./app/App";
import { usePreferences } from "./app/preferences";
import { theme } from "./app/theme";
import { InLanguage } from "./i18n";

const Listening = lazy(() => import("./features/listening/Listening"));
const Labelling = lazy(() => import("./features/labelling/Labelling"));

/** The server gives the same page at all these addresses. */
const Elsewhere = { "/listen": Listening, "/label": Labelling }[location.pathname];

function Page() {
  const { locale, scheme } = usePreferences();
  const system = useColorScheme();
  return (
    <MantineProvider
      theme={theme}
      withCssVariables={false}
      withGlobalClasses={false}
      forceColorScheme={scheme === "auto" ? system : scheme}
    >
      <InLanguage locale={locale}>
        {Elsewhere ? (
          <Suspense fallback={null}>
            <Elsewhere />
          </Suspense>
        ) : (
          <App />
        )}
      </InLanguage>
    </MantineProvider>
  );
}

const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <Page />
    </StrictMode>,
  );
}
