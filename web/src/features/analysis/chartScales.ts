/** Scales and paths of the chart of a recording: waveform and pitch. */

/** Pitch in Hz at the lower and upper edge. */
export interface PitchScale {
  low: number;
  high: number;
}

const TICKS = [50, 75, 100, 150, 200, 300, 400, 600, 800];
const EXTRA_TICKS = [60, 70, 80, 90, 110, 120, 130, 140, 160, 175, 180, 220, 250, 275, 350, 450, 500, 550, 700];
const MAX_TICKS = 3;
/** A larger jump between two frames breaks the line. */
const MAX_JUMP_OCTAVES = 0.45;

/** Quantile of the bars that is drawn at full height: a single click must not flatten all speech. */
const LOUD_QUANTILE = 0.98;

/** Peak of each of `columns` equal parts, normalised so that loud ones are 1. */
export function wavePeaks(samples: ArrayLike<number>, columns: number): number[] {
  const found: number[] = [];
  for (let column = 0; column < columns; column += 1) {
    const start = Math.floor((column * samples.length) / columns);
    const end = Math.max(start + 1, Math.floor(((column + 1) * samples.length) / columns));
    let most = 0;
    for (let at = start; at < Math.min(end, samples.length); at += 1) most = Math.max(most, Math.abs(samples[at] ?? 0));
    found.push(most);
  }
  const sorted = [...found].sort((one, other) => one - other);
  const loud = sorted[Math.ceil(LOUD_QUANTILE * (sorted.length - 1))] || sorted.at(-1) || 1;
  return found.map((peak) => Math.min(1, peak / loud));
}

/** SVG path of the bars, centred vertically. */
export function wavePath(bars: readonly number[], width: number, height: number): string {
  const step = width / Math.max(1, bars.length);
  return bars
    .map((bar, index) => {
      const half = Math.max(0.5, (bar * height) / 2);
      return `M${round((index + 0.5) * step)} ${round(height / 2 - half)}V${round(height / 2 + half)}`;
    })
    .join("");
}

/** Range of all pitches but the rarest; at least an octave, so that a flat voice looks flat. */
export function pitchScale(f0: readonly number[]): PitchScale | null {
  const voiced = f0.filter((hz) => hz > 0).sort((one, other) => one - other);
  if (voiced.length === 0) return null;
  const at = (share: number) => voiced[Math.min(voiced.length - 1, Math.floor(share * voiced.length))] ?? 100;
  const low = at(0.02);
  const high = at(0.98);
  const middle = Math.sqrt(low * high);
  const half = Math.max(1, Math.log2(high / low) * 1.25) / 2;
  return { low: middle * 2 ** -half, high: middle * 2 ** half };
}

/** Logarithmic position of a pitch: 0 at the lower edge, 1 at the upper. */
export function pitchPosition(hz: number, { low, high }: PitchScale): number {
  return Math.log2(hz / low) / Math.log2(high / low);
}

/** Two or three pitches to be labelled, clear of the edges. */
export function pitchTicks(scale: PitchScale): number[] {
  const inside = (hz: number) => pitchPosition(hz, scale) > 0.08 && pitchPosition(hz, scale) < 0.92;
  let found = TICKS.filter(inside);
  if (found.length < 2) found = [...TICKS, ...EXTRA_TICKS].filter(inside).sort((one, other) => one - other);
  if (found.length <= MAX_TICKS) return found;
  return [found[0], found[Math.floor((found.length - 1) / 2)], found.at(-1)].filter((hz) => hz !== undefined);
}

/** SVG path of the pitch, broken in unvoiced frames; at most about one point per pixel. */
export function pitchPath(f0: readonly number[], perPixel: number, scale: PitchScale, height: number): string {
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
    const share = Math.min(1, Math.max(0, pitchPosition(hz, scale)));
    const place = `${round((start + step / 2) / perPixel)} ${round((1 - share) * height)}`;
    const continues = before > 0 && Math.abs(Math.log2(hz / before)) < MAX_JUMP_OCTAVES;
    path += continues ? `L${place}` : `M${place}h.01`; // a single frame is a dot
    before = hz;
  }
  return path;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
