/** The logo of kuaimei. */
export function Logo({ size = 26 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 64 64" aria-hidden="true" focusable="false">
      <circle cx="32" cy="32" r="32" fill="var(--km-fill)" />
      <g stroke="#fff" strokeWidth="5" strokeLinecap="round">
        <path d="M17 28v8" />
        <path d="M27 20v24" />
        <path d="M37 15v34" />
        <path d="M47 26v12" />
      </g>
    </svg>
  );
}
