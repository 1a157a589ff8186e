/** What is drawn of a recording: its waveform, and the pitch over it. */

/** Pitches at the lower and upper edge. */
export interface Scale {
  low: number;
  high: number;
}

const TICKS = [50, 75, 100, 150, 200, 300, 400, 600, 800];
const FINER = [60, 70, 80, 90, 110, 120, 130, 140, 160, 175, 180, 220, 250, 275, 350, 450, 500, 550, 700];
const MOST_TICKS = 3;
/** A jump further than this, in octaves, is another stretch. */
const JUMP = 0.45;

/** Above this share of the bars nothing is louder than 1: a single click must not flatten all speech. */
const LOUD = 0.98;

/** Loudest sample of each of `columns` equal parts, loud ones being 1. */
export function peaks(samples: ArrayLike<number>, columns: number): number[] {
  const found: number[] = [];
  for (let column = 0; column < columns; column += 1) {
    const start = Math.floor((column * samples.length) / columns);
    const end = Math.max(start + 1, Math.floor(((column + 1) * samples.length) / columns));
    let most = 0;
    for (let at = start; at < Math.min(end, samples.length); at += 1) most = Math.max(most, Math.abs(samples[at] ?? 0));
    found.push(most);
  }
  const sorted = [...found].sort((one, other) => one - other);
  const loud = sorted[Math.ceil(LOUD * (sorted.length - 1))] || sorted.at(-1) || 1;
  return found.map((peak) => Math.min(1, peak / loud));
}

/** Bars around the middle line. */
export function wavePath(bars: readonly number[], width: number, height: number): string {
  const step = width / Math.max(1, bars.length);
  return bars
    .map((bar, index) => {
      const half = Math.max(0.5, (bar * height) / 2);
      return `M${round((index + 0.5) * step)} ${round(height / 2 - half)}V${round(height / 2 + half)}`;
    })
    .join("");
}

/** Room for all pitches but the rarest; at least an octave, so that a flat voice looks flat. */
export function pitchScale(f0: readonly number[]): Scale | null {
  const voiced = f0.filter((hz) => hz > 0).sort((one, other) => one - other);
  if (voiced.length === 0) return null;
  const at = (share: number) => voiced[Math.min(voiced.length - 1, Math.floor(share * voiced.length))] ?? 100;
  const low = at(0.02);
  const high = at(0.98);
  const middle = Math.sqrt(low * high);
  const half = Math.max(1, Math.log2(high / low) * 1.25) / 2;
  return { low: middle * 2 ** -half, high: middle * 2 ** half };
}

/** 0 at the lower edge, 1 at the upper: an octave is as high everywhere. */
export function pitchShare(hz: number, { low, high }: Scale): number {
  return Math.log2(hz / low) / Math.log2(high / low);
}

/** Two or three pitches to be labelled, clear of the edges. */
export function pitchTicks(scale: Scale): number[] {
  const inside = (hz: number) => pitchShare(hz, scale) > 0.08 && pitchShare(hz, scale) < 0.92;
  let found = TICKS.filter(inside);
  if (found.length < 2) found = [...TICKS, ...FINER].filter(inside).sort((one, other) => one - other);
  if (found.length <= MOST_TICKS) return found;
  return [found[0], found[Math.floor((found.length - 1) / 2)], found.at(-1)].filter((hz) => hz !== undefined);
}

/** The pitch as lines, broken where there is no voice; at most about one point for each pixel. */
export function pitchPath(f0: readonly number[], perPixel: number, scale: Scale, height: number): string {
  const step = Math.max(1, Math.floor(perPixel));
  let path = "";
  let before = 0;
  for (let start = 0; start < f0.length; start += step) {
    const voiced = f0.slice(start, start + step).filter((hz) => hz > 0);
    const hz = voiced.sort((one, other) => one - other)[voiced.length >> 1];
    if (hz === undefined) {
      before = 0;
      continue;
    }
    const share = Math.min(1, Math.max(0, pitchShare(hz, scale)));
    const place = `${round((start + step / 2) / perPixel)} ${round((1 - share) * height)}`;
    const goesOn = before > 0 && Math.abs(Math.log2(hz / before)) < JUMP;
    path += goesOn ? `L${place}` : `M${place}h.01`; // a single frame is a dot
    before = hz;
  }
  return path;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
