import "@mantine/core/styles.css";
import "./app/tokens.css";

import { MantineProvider } from "@mantine/core";
import { useColorScheme } from "@mantine/hooks";
import { lazy, StrictMode, Suspense } from "react";
import { createRoot } from "react-dom/client";

import { openAccess, useAccess } from "./app/access";
import { App } from "./app/App";
import { usePreferences } from "./app/preferences";
import { theme } from "./app/theme";
import { SignIn } from "./features/account/SignIn";
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
        <Gate />
      </InLanguage>
    </MantineProvider>
  );
}

/** Whatever is at this address, for whoever may see it; each visit begins with nothing of the one before. */
function Gate() {
  const access = useAccess();
  if (access.kind === "finding") return null;
  if (access.kind === "out") return <SignIn why={access.why} />;
  if (!Elsewhere) return <App key={access.visit} />;
  return (
    <Suspense fallback={null}>
      <Elsewhere key={access.visit} />
    </Suspense>
  );
}

openAccess();
const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <Page />
    </StrictMode>,
  );
}
