import { createTheme } from "@mantine/core";

/** Colours are in tokens.css: the Content-Security-Policy lets no script write style sheets. */
export const theme = createTheme({
  primaryColor: "teal",
  primaryShade: { light: 8, dark: 6 },
  defaultRadius: "md",
  cursorType: "pointer",
  respectReducedMotion: true,
});
