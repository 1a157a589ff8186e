import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

import { policy, WAVEFORM_HEIGHT } from "./build/csp.ts";

/** Writes csp.txt beside the page: the server sends it as the policy of the page. */
function contentSecurityPolicy(): Plugin {
  return {
    name: "kuaimei-csp",
    apply: "build",
    generateBundle() {
      this.emitFile({ type: "asset", fileName: "csp.txt", source: `${policy()}\n` });
    },
  };
}

// The server that the development page uses.
const server = process.env["KUAIMEI_SERVER"] ?? "http://127.0.0.1:8000";

export default defineConfig({
  plugins: [react(), contentSecurityPolicy()],
  define: { __WAVEFORM_HEIGHT__: JSON.stringify(WAVEFORM_HEIGHT) },
  build: {
    outDir: process.env["KUAIMEI_PAGE"] ?? "../src/kuaimei/server/page",
    emptyOutDir: true,
    assetsInlineLimit: 0, // the page's policy allows no scripts from data: URLs, nor worklets
    modulePreload: { polyfill: false },
    target: "es2022",
  },
  worker: { format: "es" },
  server: { proxy: { "/v1": { target: server, ws: true }, "/api": server } },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
} as Parameters<typeof defineConfig>[0]);
