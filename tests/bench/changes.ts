import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { repository } from '../support/data.ts';

/** Milliseconds of `tenon compile`. */
export interface CommandTime {
  /** From the start of the process to its end. */
  readonly command: number;
  /** Reading, compiling, writing the artifact. */
  readonly compilation: number;
  /** Whether the cache had the artifact. */
  readonly cached: boolean;
}

export interface Changes {
  /** Nothing cached. */
  readonly cold: CommandTime;
  /** Again. */
  readonly unchanged: CommandTime;
  /** After one node's operator became another. */
  readonly changed: CommandTime;
  readonly change: string;
}

/** Operators that may take each other's place in a node: of one signature, with names of one length. */
const exchangeable = [['Relu', 'Tanh'], ['Tanh', 'Relu'], ['Erf', 'Abs'], ['Sqrt', 'Relu'], ['Add', 'Sub'], ['Mul', 'Sub']] as const;

/** The model with another operator in one node in the middle. Names are of one length, so that it is the same file but for some letters. */
function withOneNodeChanged(model: Uint8Array): { readonly bytes: Uint8Array; readonly change: string } {
  const text = Buffer.from(model.buffer, model.byteOffset, model.byteLength);
  for (const [from, to] of exchangeable) {
    // Field 4 of a node, op_type, a string of so many bytes.
    const field = Buffer.concat([Buffer.of(0x22, from.length), Buffer.from(from)]);
    const places: number[] = [];
    for (let at = text.indexOf(field); at >= 0; at = text.indexOf(field, at + 1)) places.push(at);
    if (places.length === 0) continue;
    const bytes = model.slice();
    bytes.set(Buffer.from(to), places[Math.floor(places.length / 2)]! + 2);
    return { bytes, change: `one ${from} became ${to}` };
  }
  throw new Error(`no node to change: the model has none of ${exchangeable.map(([from]) => from).join(', ')}`);
}

/** Builds the packages: what is measured is the command as it is installed. */
export function buildCommand(): void {
  execFileSync('npm', ['run', '--silent', 'build'], { cwd: repository, stdio: ['ignore', 'ignore', 'inherit'] });
}

/** Runs the command three times with a cache of its own, each in a new process. */
export function measureChanges(path: string): Changes {
  const folder = mkdtempSync(join(tmpdir(), 'tenon-changes-'));
  try {
    const models = join(folder, 'model');
    mkdirSync(models);
    const name = basename(path);
    // External data lie beside the model.
    for (const other of readdirSync(dirname(path))) if (other !== name) cpSync(join(dirname(path), other), join(models, other), { recursive: true });
    const original = new Uint8Array(readFileSync(path));
    const file = join(models, name);
    const output = join(folder, 'model.tenon');
    const command = (): CommandTime => {
      const begin = performance.now();
      const text = execFileSync(process.execPath, [join(repository, 'packages/cli/dist/main.js'), 'compile', file, '-o', output, '--no-config', '--json'], {
        env: { ...process.env, NODE_OPTIONS: '', TENON_CACHE: join(folder, 'cache') }, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'],
      });
      const { milliseconds, cached } = JSON.parse(text) as { milliseconds: number; cached: boolean };
      return { command: performance.now() - begin, compilation: milliseconds, cached };
    };
    writeFileSync(file, original);
    const [cold, unchanged] = [command(), command()];
    const { bytes, change } = withOneNodeChanged(original);
    writeFileSync(file, bytes);
    const changed = command();
    if (cold.cached || !unchanged.cached || changed.cached) throw new Error(`the cache answered ${[cold, unchanged, changed].map((t) => t.cached).join(', ')} in place of false, true, false`);
    return { cold, unchanged, changed, change };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
