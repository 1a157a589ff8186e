import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

/** Height in CSS pixels of every waveform: part of the style that wavesurfer.js writes. */
export const WAVEFORM_HEIGHT = 32;

/**
 * The Content-Security-Policy the page needs: nothing inline, nothing from another host.
 *
 * wavesurfer.js writes one fixed <style> into its shadow root; it alone is allowed, by its hash.
 */
export function policy(): string {
  const style = createHash("sha256").update(wavesurferStyle()).digest("base64");
  return [
    "default-src 'none'",
    "script-src 'self'",
    `style-src 'self' 'sha256-${style}'`,
    "img-src 'self' data:",
    "font-src 'self'",
    "connect-src 'self'",
    "media-src 'self' blob:",
    "worker-src 'self'",
    "manifest-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
}

function wavesurferStyle(): string {
  const file = "node_modules/wavesurfer.js/dist/renderer.js"; // vite runs in its own folder
  const found = /<style\$\{.*\}>([\s\S]*?)<\/style>/.exec(readFileSync(file, "utf8"))?.[1];
  if (found === undefined) {
    throw new Error("wavesurfer.js no longer writes the style this policy allows: look at build/csp.ts");
  }
  const style = found.replace(/\$\{this\.getHeight\([^}]*\)\}/, String(WAVEFORM_HEIGHT));
  if (style.includes("${")) {
    throw new Error("the style of wavesurfer.js holds more than a height now: look at build/csp.ts");
  }
  return style;
}
