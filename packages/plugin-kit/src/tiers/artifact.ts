/** Artifacts away from home: in a clean process with the loader alone, damaged, and of another version. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BlobInfo, HostTensor, LoadedBlob, LoaderAnswer } from '@tenon/plugin';
import { describeInstance } from '../cases/instance.ts';
import { directCall, exampleOf, singles, type Single } from '../single.ts';
import type { ScannedFile } from '../source-scan.ts';
import { describeError, type Workbench } from '../workbench.ts';
import { mentionsChecksum } from './package.ts';

/** What the clean process is told. Tensors travel as arrays of bytes in base64. */
export interface CleanJob {
  readonly loader: string;
  readonly artifact: string;
  readonly inputs: { readonly [name: string]: { readonly dtype: string; readonly shape: readonly number[]; readonly bytes: string } };
}
export interface CleanResult {
  readonly error: string | null;
  readonly outputs: readonly { readonly dtype: string; readonly shape: readonly number[]; readonly bytes: string }[];
  /** URLs of the modules that importing the loader brought with it. */
  readonly modules: readonly string[];
}

export async function checkArtifact(bench: Workbench, loaderFiles: ReadonlyMap<string, ScannedFile>): Promise<void> {
  const some = await singles(bench, 8);
  if (some.length === 0) {
    bench.note('artifact/none', 'no case lies on the target as a whole');
    return;
  }
  await checkCleanProcess(bench, some[0]!);
  const strict = bench.settings.integrity ?? mentionsChecksum(loaderFiles);
  const different = [...new Map(some.map((s) => [s.case.rule.id, s])).values()].slice(0, 2);
  for (const s of different) await checkDamage(bench, s, strict);
  checkVersions(bench, some[0]!);
}

const about = (s: Single): string => describeInstance(s.case.instance);

async function checkCleanProcess(bench: Workbench, s: Single): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'tenon-kit-'));
  try {
    const { inputs, want } = await exampleOf(bench, s, 81, 'mixed');
    const base64 = (t: HostTensor): string => Buffer.from((t.data as Uint8Array).buffer, (t.data as Uint8Array).byteOffset, (t.data as Uint8Array).byteLength).toString('base64');
    const artifact = join(folder, 'model.tenon');
    writeFileSync(artifact, s.artifact);
    const job: CleanJob = {
      loader: bench.files.loader!, artifact,
      inputs: Object.fromEntries(s.fn.params.map((p, i) => [p.name, { dtype: inputs[i]!.dtype, shape: inputs[i]!.shape, bytes: base64(inputs[i]!) }])),
    };
    const file = join(folder, 'job.json');
    writeFileSync(file, JSON.stringify(job));
    const result = await runClean(file, folder);
    if (!bench.check('artifact/clean-process', result.error === null ? null : `${about(s)}: in a clean process that has the loader alone: ${result.error}`)) return;
    const got = result.outputs.map((o): HostTensor => {
      const bytes = Uint8Array.from(Buffer.from(o.bytes, 'base64'));
      const like = want.find((w) => w.dtype === o.dtype)!.data as Float32Array;
      return { dtype: o.dtype, shape: o.shape, data: new (like.constructor as new (b: ArrayBuffer) => Float32Array)(bytes.buffer) };
    });
    const problem = bench.disagreement(got, want, inputs);
    bench.check('artifact/clean-process', problem === null ? null : `${about(s)}: in a clean process: ${problem}`);
    const compiler = result.modules.find((url) => /@tenon[/+](core|ops|interp|schedule|compiler|frontend-[\w-]+)[/@]|\/packages\/(core|ops|interp|schedule|compiler|frontend-[\w-]+)\/(src|dist)\//.test(url));
    bench.check('package/loader-imports-compiler', compiler === undefined ? null : `importing the loader brings the compiler with it: ${compiler}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function runClean(job: string, folder: string): Promise<CleanResult> {
  const own = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? '../clean.ts' : '../clean.js', import.meta.url));
  const failed = (error: string): CleanResult => ({ error, outputs: [], modules: [] });
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [...process.execArgv, own, job], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'], cwd: folder });
    let said = '';
    child.stderr!.setEncoding('utf8').on('data', (text: string) => void (said = (said + text).slice(-2000)));
    const timer = setTimeout(() => child.kill('SIGKILL'), 30_000);
    let result: CleanResult | null = null;
    child.on('message', (message: CleanResult) => void (result = message));
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve(result ?? failed(`it ended with ${signal ?? `exit code ${code}`} ${said.trim().split('\n').slice(-6).join('\n')}`));
    });
  });
}

type Outcome = 'refused' | 'same' | 'different' | 'unsafe';

/** What a loader does with these bytes in place of the blob's. */
async function outcomeOf(bench: Workbench, s: Single, bytes: Uint8Array, info: BlobInfo, example: { inputs: readonly HostTensor[]; want: readonly HostTensor[] }): Promise<{ outcome: Outcome; message: string }> {
  const loader = bench.makeLoader!();
  let loaded: LoadedBlob | null = null;
  try {
    loaded = await loader.load(info, bytes, { threads: 1 });
    const call = await directCall(bench, s, loader, loaded, example.inputs);
    try {
      await call.run();
      const damage = await call.damage();
      if (damage !== null) return { outcome: 'unsafe', message: damage.message };
      const problem = bench.disagreement(await call.results(), example.want, example.inputs);
      return problem === null ? { outcome: 'same', message: '' } : { outcome: 'different', message: problem };
    } finally {
      call.dispose();
    }
  } catch (error) {
    return { outcome: 'refused', message: describeError(error) };
  } finally {
    try {
      loaded?.dispose();
    } catch {
      // Of a blob that was refused.
    }
  }
}

async function checkDamage(bench: Workbench, s: Single, strict: boolean): Promise<void> {
  const { bytes, info } = s.blob;
  const rule = s.case.rule.id;
  // Native code could do anything: its container's hashes have to do.
  if (bench.makeLoader!().native) {
    bench.note('artifact/native', 'damaged native code is not tried');
    return;
  }
  const example = await exampleOf(bench, s, 91, 'mixed');
  const undamaged = await outcomeOf(bench, s, bytes.slice(), info, example);
  if (!bench.check('artifact/not-loaded', undamaged.outcome === 'same' ? null : `${about(s)}: the blob itself does not give the result: ${undamaged.message}`, rule)) return;

  const refusedOrHarmless = async (what: string, changed: Uint8Array, code: string, harmless: boolean): Promise<void> => {
    const { outcome, message } = await outcomeOf(bench, s, changed, info, example);
    const bad = outcome === 'unsafe' || outcome === 'different' || (outcome === 'same' && !harmless);
    bench.check(code, bad ? `${about(s)}: a blob ${what} is ${outcome === 'same' ? 'run as if nothing had happened' : outcome === 'unsafe' ? `run, and ${message}` : `run, with wrong results: ${message}`}` : null, rule);
  };
  for (const length of [0, 1, 4, Math.floor(bytes.length / 4), Math.floor(bytes.length / 2), bytes.length - 8, bytes.length - 1]) {
    if (length < 0 || length >= bytes.length) continue;
    await refusedOrHarmless(`cut to ${length} of ${bytes.length} bytes`, bytes.slice(0, length), 'artifact/truncated', !strict);
  }
  await refusedOrHarmless('of zeros', new Uint8Array(bytes.length), 'artifact/damaged', false);
  await refusedOrHarmless('of noise', bytes.map((b, i) => b ^ ((i * 151 + 43) & 255)), 'artifact/damaged', false);
  await refusedOrHarmless('followed by other bytes', Uint8Array.from([...bytes, ...bytes.slice(0, 16)]), 'artifact/damaged', !strict);

  const text = isJson(bytes);
  // A binary header says what it is and which version: no byte of that may change. Zeros may be padding.
  if (!text) {
    for (let at = 0; at < Math.min(8, bytes.length); at++) {
      if (bytes[at] === 0) continue;
      await refusedOrHarmless(`whose byte ${at} of its header was changed`, flipped(bytes, at, 1 << (at % 8)), 'artifact/header-ignored', false);
    }
  } else {
    for (const changed of otherVersions(bytes)) await refusedOrHarmless('that says that it has another version', changed, 'artifact/header-ignored', false);
  }
  const positions = Array.from({ length: 24 }, (_, i) => Math.floor(((i + 0.5) * bytes.length) / 24));
  let different = 0;
  let example1 = '';
  for (const [i, at] of positions.entries()) {
    const { outcome, message } = await outcomeOf(bench, s, flipped(bytes, at, 1 << (i % 8)), info, example);
    bench.checks++;
    if (outcome === 'unsafe') bench.fail('artifact/unsafe', `${about(s)}: a blob whose byte ${at} was changed is run, and ${message}`, rule);
    if (outcome === 'different' || (strict && outcome === 'same')) {
      different++;
      example1 ||= `byte ${at} of ${bytes.length}${message === '' ? '' : `: ${message}`}`;
    }
  }
  // Guessed from sources, a hash may leave out parts, such as padding or a header that is checked otherwise.
  const allowed = bench.settings.integrity === true ? 0 : positions.length / 3;
  if (different > allowed && strict) bench.fail('artifact/damaged', `${about(s)}: the loader checks its blobs, and runs ${different} of ${positions.length} with one changed bit all the same (${example1})`, rule);
  else if (different > 0) bench.note('artifact/damage', `the loader runs ${different} of ${positions.length} blobs with one changed bit, with other results (${example1}); the artifact's own hashes have to find such damage`);
}

function flipped(bytes: Uint8Array, at: number, bit: number): Uint8Array {
  const changed = bytes.slice();
  changed[at] = changed[at]! ^ bit;
  return changed;
}

function isJson(bytes: Uint8Array): boolean {
  try {
    JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    return true;
  } catch {
    return false;
  }
}

/** A JSON blob with the numbers behind ‘version’ raised. */
function otherVersions(bytes: Uint8Array): readonly Uint8Array[] {
  const text = new TextDecoder().decode(bytes);
  const changed = text.replace(/("\w*version"\s*:\s*)(\d+)/i, (_, key: string, n: string) => `${key}${Number(n) + 1}`);
  return changed === text ? [] : [new TextEncoder().encode(changed)];
}

function checkVersions(bench: Workbench, s: Single): void {
  const loader = bench.makeLoader!();
  const { info } = s.blob;
  bench.check('artifact/version', loader.format === info.format ? null : `codegen writes the format ${info.format}, the loader reads ${loader.format}`);
  bench.check('artifact/version', loader.formatVersions.includes(info.formatVersion) ? null : `codegen writes version ${info.formatVersion} of ${info.format}, the loader reads ${loader.formatVersions.join(', ')}`);
  const ask = (blob: BlobInfo): LoaderAnswer | string => {
    try {
      const answer = loader.answer(blob);
      return ['optimal', 'usable', 'recompile', 'unsupported'].includes(answer?.kind) ? answer : `answer() gives ${JSON.stringify(answer)}`;
    } catch (error) {
      return `answer() throws: ${describeError(error)}`;
    }
  };
  const own = ask(info);
  bench.check('artifact/answer', typeof own === 'string' ? own : !('reason' in own) ? null : `the loader does not take what codegen wrote on the same machine: ${own.reason} [${own.code}]`);
  checkRequirements(bench, info, ask);
  for (const version of [info.formatVersion - 1, info.formatVersion + 1, 999]) {
    const answer = ask({ ...info, formatVersion: version });
    const refuses = typeof answer !== 'string' && 'reason' in answer;
    const listed = loader.formatVersions.includes(version);
    if (refuses) {
      bench.check('artifact/answer', refusalProblem(answer as Extract<LoaderAnswer, { reason: string }>));
      bench.check('artifact/version', !listed ? null : `the loader lists version ${version} among those that it reads, and refuses it when asked`);
    } else if (typeof answer === 'string') bench.fail('artifact/answer', `asked about version ${version}: ${answer}`);
    else bench.check('artifact/version', !listed || version < info.formatVersion ? null : `the loader says that it reads version ${version} of ${info.format}; codegen writes ${info.formatVersion}`);
    if (listed && !refuses && version < info.formatVersion) bench.note('artifact/old-version', `the loader takes version ${version}, which codegen does not write any more: keep a blob of it to test with`);
  }
}

/**
 * A blob that needs something else of the machine is not taken: a number that none has, a name that nothing goes by. Noted only: what `requires` says may be for
 * people, and the blob's own bytes may say it to the loader.
 */
function checkRequirements(bench: Workbench, info: BlobInfo, ask: (blob: BlobInfo) => LoaderAnswer | string): void {
  const ignored: string[] = [];
  for (const [name, value] of Object.entries(info.requires)) {
    const other = typeof value === 'number' ? 2 ** 52 + value : typeof value === 'string' ? `${value} of another machine` : null;
    if (other === null) continue;
    const answer = ask({ ...info, requires: { ...info.requires, [name]: other } });
    if (typeof answer === 'string') bench.fail('artifact/answer', `asked about a blob whose \`requires.${name}\` is ${JSON.stringify(other)}: ${answer}`);
    else if ('reason' in answer) bench.check('artifact/answer', refusalProblem(answer));
    else ignored.push(name);
  }
  if (ignored.length > 0) bench.note('artifact/requires', `asked about a blob, the loader does not look at \`requires.${ignored.join('`, `requires.')}\``);
}

const refusalProblem = (answer: Extract<LoaderAnswer, { reason: string }>): string | null =>
  (/^[\w.-]+\/[\w.-]+$/.test(answer.code) && typeof answer.reason === 'string' && answer.reason.trim() !== '' ? null : `a blob is refused without a code and a reason: ${JSON.stringify(answer)}`);
