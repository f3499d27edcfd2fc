/** Frontends read their samples, the same way every time, and refuse with a code what they cannot read. */
import { existsSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { diagnosticOf, type Frontend, type IRModule } from '@tenon/plugin';
import { printModule, verifyModule } from '@tenon/core';
import { memorySource } from '../import-text.ts';
import type { ModelSample } from '../settings.ts';
import { describeError, type Workbench } from '../workbench.ts';

/** As much as the compiler shows to `detect`. */
const headBytes = 4096;
/** Places at which a sample is cut off, and places at which a byte is changed. */
const places = 24;
/** Milliseconds for the damaged copies of a sample, beyond the first few. */
const patience = 4000;

export async function checkFrontends(bench: Workbench): Promise<void> {
  const frontends = bench.makePlugin().frontends ?? [];
  for (const frontend of frontends) {
    bench.check('contract/frontend', frontend.extensions.every((e) => e.startsWith('.')) ? null : `the extensions of ${frontend.name} begin with a dot`);
    for (const head of [new Uint8Array(), new Uint8Array(headBytes), new TextEncoder().encode('no model at all')]) {
      const detected = detect(bench, frontend, head);
      if (head.length === 0) bench.check('contract/frontend', detected !== true ? null : `${frontend.name}: detect takes an empty file for a model`);
      await checkRefusal(bench, frontend, head, {}, `${head.length} bytes that are no model`, false);
    }
  }
  if (frontends.length === 0) return;
  const { samples } = bench.settings;
  if (samples.length === 0) bench.note('contract/samples', 'package.json names no models to read (tenon.samples): what the frontend imports is not looked at');
  for (const sample of samples) {
    const file = join(bench.folder, sample.file);
    if (!existsSync(file) && /[\\/]node_modules[\\/]/.test(file)) {
      bench.note('contract/samples', `${sample.file} is not part of the installed package: it is not looked at`);
      continue;
    }
    if (!bench.check('contract/sample', existsSync(file) ? null : `tenon.samples: ${sample.file} does not exist`)) continue;
    await checkSample(bench, frontends, sample, new Uint8Array(readFileSync(file)));
  }
}

function detect(bench: Workbench, frontend: Frontend, head: Uint8Array): boolean | null {
  try {
    const detected: unknown = frontend.detect(head);
    return bench.check('contract/frontend', typeof detected === 'boolean' ? null : `${frontend.name}: detect must answer true or false`) ? (detected as boolean) : null;
  } catch (error) {
    bench.fail('contract/frontend', `${frontend.name}: detect throws on ${head.length} bytes: ${describeError(error)}`);
    return null;
  }
}

async function checkSample(bench: Workbench, frontends: readonly Frontend[], sample: ModelSample, bytes: Uint8Array): Promise<void> {
  const head = bytes.slice(0, headBytes);
  const detecting = frontends.filter((f) => detect(bench, f, head) === true);
  const frontend = detecting[0] ?? frontends.find((f) => f.extensions.includes(extname(sample.file)));
  if (!bench.check('contract/sample', frontend !== undefined ? null : `no frontend takes ${sample.file} for a model, by its first bytes or by its name`)) return;

  const read = async (how: { readonly synchronous: boolean }): Promise<{ readonly module: IRModule; readonly text: string }> => {
    const session = bench.newSession();
    const module = await bench.makePlugin().frontends!.find((f) => f.name === frontend!.name)!.import(memorySource(bytes, sample.file, how), session, { dims: sample.dims });
    const [problem] = verifyModule(module, session);
    bench.check('contract/sample', problem === undefined ? null : `${sample.file}: the module is not sound: ${problem.message} [${problem.code}]`);
    return { module, text: printModule(module) };
  };
  bench.step(`${frontend!.name} imports ${sample.file}`);
  let first: string;
  try {
    const { module, text } = await read({ synchronous: true });
    first = text;
    bench.check('contract/sample', module.functions.get('main')?.kind === 'graph' ? null : `${sample.file}: the module has no graph function main`);
  } catch (error) {
    bench.fail('contract/sample', `${sample.file} cannot be imported: ${describeError(error)}`);
    return;
  }
  for (const [how, when] of [[{ synchronous: true }, 'when it is imported again'], [{ synchronous: false }, 'when its source cannot be read at once (no readSync)']] as const) {
    try {
      bench.check('contract/not-deterministic', (await read(how)).text === first ? null : `${sample.file} becomes another module ${when}`);
    } catch (error) {
      bench.fail('contract/not-deterministic', `${sample.file} cannot be imported ${when}: ${describeError(error)}`);
    }
  }
  await checkDamage(bench, frontend!, sample, bytes);
}

/** Whatever the bytes are: a module, or an error with a code. Some damage does not show, and some cuts leave a model. */
async function checkDamage(bench: Workbench, frontend: Frontend, { file, dims }: ModelSample, bytes: Uint8Array): Promise<void> {
  const began = performance.now();
  const position = (i: number): number => Math.floor(((i + 0.5) * bytes.length) / places);
  for (let i = 0; i < places && (i < 4 || performance.now() - began < patience); i++) {
    const at = position((i * 7) % places);
    await checkRefusal(bench, frontend, bytes.slice(0, at), dims, `${file}, cut to ${at} of ${bytes.length} bytes,`, true);
    for (const value of [0, 0xff, bytes[at]! ^ (1 << (i % 8))]) {
      const changed = bytes.slice();
      changed[at] = value;
      await checkRefusal(bench, frontend, changed, dims, `${file}, with byte ${at} changed to ${value},`, true);
    }
  }
}

/** `harmless`: it may be a model after all. */
async function checkRefusal(bench: Workbench, frontend: Frontend, bytes: Uint8Array, dims: ModelSample['dims'], what: string, harmless: boolean): Promise<void> {
  bench.step(`${frontend.name} imports ${what}`);
  try {
    await frontend.import(memorySource(bytes, 'model'), bench.newSession(), { dims });
    bench.check('contract/frontend', harmless ? null : `${frontend.name} imports ${what}`);
  } catch (error) {
    bench.check('contract/frontend', diagnosticOf(error) !== null ? null : `${frontend.name}: ${what} is refused without a code (ctx.fail): ${describeError(error)}`);
  }
}
