import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { inflateSync } from 'node:zlib';

const execute = promisify(execFile);

/** The program of a Chromium that is installed; null where there is none. */
export const chromium: string | null = ['chromium', 'chromium-browser', 'google-chrome'].find((name) => {
  try {
    execFileSync(name, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}) ?? null;

export interface Visit {
  /** The document after its scripts have run. */
  readonly dom: string;
  readonly screenshot: Image;
}

/** Opens a page without a network, and looks at it. */
export async function visit(html: string, fragment: string, [width, height]: readonly [number, number] = [1400, 900]): Promise<Visit> {
  const folder = mkdtempSync(join(tmpdir(), 'tenon-page-'));
  try {
    writeFileSync(join(folder, 'page.html'), html);
    const options = [
      '--headless', '--no-sandbox', '--disable-gpu', '--hide-scrollbars', `--user-data-dir=${join(folder, 'profile')}`, `--window-size=${width},${height}`,
      '--virtual-time-budget=4000', '--host-resolver-rules=MAP * ~NOTFOUND',
    ];
    const url = `file://${join(folder, 'page.html')}#${fragment}`;
    const { stdout } = await execute(chromium!, [...options, '--dump-dom', url], { maxBuffer: 1 << 28 });
    await execute(chromium!, [...options, `--screenshot=${join(folder, 'page.png')}`, url]);
    return { dom: stdout, screenshot: decodePng(readFileSync(join(folder, 'page.png'))) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export interface Image {
  readonly width: number;
  readonly height: number;
  /** How many pixels have exactly this colour, `#rrggbb`. */
  count(colour: string): number;
  readonly colours: number;
}

/** PNG with 8 bits per channel, not interlaced (https://www.w3.org/TR/png/), as Chromium writes it. */
function decodePng(file: Uint8Array): Image {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const [width, height, depth, type, interlace] = [view.getUint32(16), view.getUint32(20), file[24], file[25], file[28]];
  if (depth !== 8 || (type !== 2 && type !== 6) || interlace !== 0) throw new Error(`PNG of depth ${depth} and type ${type}`);
  const pieces: Uint8Array[] = [];
  for (let at = 8; at < file.length; ) {
    const bytes = view.getUint32(at);
    if (String.fromCharCode(...file.subarray(at + 4, at + 8)) === 'IDAT') pieces.push(file.subarray(at + 8, at + 8 + bytes));
    at += bytes + 12;
  }
  const channels = type === 6 ? 4 : 3;
  const data = inflateSync(Buffer.concat(pieces));
  const stride = width * channels;
  let above = new Uint8Array(stride);
  const counts = new Map<number, number>();
  for (let y = 0; y < height; y++) {
    const filter = data[y * (stride + 1)]!;
    const row = Uint8Array.from(data.subarray(y * (stride + 1) + 1, (y + 1) * (stride + 1)));
    for (let i = 0; i < stride; i++) {
      const [a, b, c] = [row[i - channels] ?? 0, above[i]!, above[i - channels] ?? 0];
      row[i]! += filter === 0 ? 0 : filter === 1 ? a : filter === 2 ? b : filter === 3 ? (a + b) >> 1 : paeth(a, b, c);
    }
    for (let x = 0; x < stride; x += channels) {
      const colour = (row[x]! << 16) | (row[x + 1]! << 8) | row[x + 2]!;
      counts.set(colour, (counts.get(colour) ?? 0) + 1);
    }
    above = row;
  }
  return { width, height, colours: counts.size, count: (colour) => counts.get(parseInt(colour.slice(1), 16)) ?? 0 };
}

function paeth(a: number, b: number, c: number): number {
  const [pa, pb, pc] = [Math.abs(b - c), Math.abs(a - c), Math.abs(a + b - 2 * c)];
  return pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
}
