import "@mantine/core/styles.css";
import "./shell/tokens.css";

import { MantineProvider } from "@mantine/core";
import { useColorScheme } from "@mantine/hooks";
import { lazy, StrictMode, Suspense } from "react";
import { createRoot } from "react-dom/client";

import { SignIn } from "./features/account/SignIn";
import { LocaleProvider } from "./i18n";
import { initAuth, useAuth } from "./shared/auth";
import { usePreferences } from "./shared/preferences";
import { App } from "./shell/App";
import { theme } from "./shell/theme";

const ListeningTest = lazy(() => import("./features/listening-test/ListeningTest"));
const Labelling = lazy(() => import("./features/labelling/Labelling"));

/** The server delivers the same page at all these paths. */
const OtherPage = { "/listen": ListeningTest, "/label": Labelling }[location.pathname];

function Root() {
  const { locale, scheme } = usePreferences();
  const system = useColorScheme();
  return (
    <MantineProvider
      theme={theme}
      withCssVariables={false}
      withGlobalClasses={false}
      forceColorScheme={scheme === "auto" ? system : scheme}
    >
      <LocaleProvider locale={locale}>
        <AuthGate />
      </LocaleProvider>
    </MantineProvider>
  );
}

/** Shows the page of this path once the user is signed in; each visit starts with fresh component state. */
function AuthGate() {
  const auth = useAuth();
  if (auth.kind === "finding") return null;
  if (auth.kind === "out") return <SignIn reason={auth.reason} />;
  if (!OtherPage) return <App key={auth.visit} />;
  return (
    <Suspense fallback={null}>
      <OtherPage key={auth.visit} />
    </Suspense>
  );
}

initAuth();
const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <Root />
    </StrictMode>,
  );
}
