import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Cache } from '@tenon/plugin';
import { TenonError } from '@tenon/plugin';
import { runProcess, type Finished } from './process.ts';

/** A C compiler with the flags that fit the machine. */
export interface Toolchain {
  readonly cc: string;
  /** First line of `cc --version`. */
  readonly version: string;
  readonly flags: readonly string[];
  /** Those of `flags` that choose the processor. */
  readonly machine: readonly string[];
  /** Predefined macros: what the flags allow the compiler to use. */
  readonly macros: ReadonlyMap<string, string>;
  /** Differs where the same C text may give different code. */
  readonly identity: string;
}

export interface ToolchainOptions {
  /** The compiler; otherwise $CC, cc, gcc, clang. */
  readonly cc?: string | undefined;
  /** Value of -march (-mcpu for AArch64's `native`). */
  readonly march?: string | undefined;
}

/**
 * Floating point stays IEEE: no flag that drops NaN, infinities or signed zeros. Traps and errno are nobody's concern;
 * integers wrap; a product that is added to something is fused. Predictive commoning would carry what one step of a
 * reduction loaded over to the next, in registers that the sums of a tile already fill.
 */
export const semantics = ['-std=gnu11', '-O3', '-fPIC', '-fwrapv', '-ffp-contract=fast', '-fno-math-errno', '-fno-trapping-math', '-fno-predictive-commoning', '-w'];

const installHint =
  'install one: Debian and Ubuntu `sudo apt-get install gcc libc6-dev`, Fedora `sudo dnf install gcc`, macOS `xcode-select --install`; or name one with $CC or the option `cc`';

export async function findToolchain(options: ToolchainOptions, signal?: AbortSignal): Promise<Toolchain> {
  const named = options.cc ?? process.env['CC'];
  const candidates = named ? [named] : ['cc', 'gcc', 'clang'];
  const abortable = signal === undefined ? {} : { signal };
  for (const cc of candidates) {
    const march = options.march ?? 'native';
    const machines = machineFlags(march);
    const ask = (machine: readonly string[]): Promise<Finished> => runProcess(cc, [...semantics, ...machine, '-dM', '-E', '-x', 'c', '-'], '', abortable);
    let answer: Finished;
    let first: Finished;
    try {
      [answer, first] = await Promise.all([runProcess(cc, ['--version'], '', abortable), ask(machines[0]!)]);
    } catch (error) {
      if (signal?.aborted) throw error;
      continue;
    }
    if (answer.code !== 0) continue;
    const version = answer.stdout.split('\n', 1)[0]!.trim();
    const tried: string[] = [];
    for (const [i, machine] of machines.entries()) {
      const flags = [...semantics, ...machine];
      const probe = i === 0 ? first : await ask(machine);
      if (probe.code !== 0) {
        tried.push(firstLines(probe.stderr, 2));
        continue;
      }
      const macros = new Map(Array.from(probe.stdout.matchAll(/^#define (\w+) ?(.*)$/gm), (m) => [m[1]!, m[2]!]));
      return { cc, version, flags, machine, macros, identity: hash([version, ...flags, probe.stdout]) };
    }
    throw new TenonError({ code: 'cpu-c/unknown-march', message: `${cc} does not know the processor ${march}: ${tried[0] ?? ''}`, hint: 'use `march: "native"` or a value that the compiler lists' });
  }
  throw new TenonError({
    code: 'cpu-c/no-compiler',
    message: named ? `the C compiler ${named} does not run` : 'there is no C compiler on this machine (tried cc, gcc and clang)',
    hint: installHint,
  });
}

function machineFlags(march: string): readonly (readonly string[])[] {
  // Some compilers know `native` as -mcpu only, or not at all.
  if (march === 'native') return process.arch === 'arm64' ? [['-mcpu=native'], []] : [['-march=native'], []];
  return [[`-march=${march}`]];
}

const hash = (parts: readonly string[]): string => {
  const h = createHash('sha256');
  for (const part of parts) h.update(part).update('\0');
  return h.digest('hex');
};
const firstLines = (text: string, count: number): string => text.trim().split('\n').slice(0, count).join('\n');

/** A translation unit, or an object file. */
export interface Unit {
  /** For messages. */
  readonly name: string;
  readonly text: string;
  /** Linked as it is, in place of `text`. */
  readonly object?: Uint8Array;
  /** After the toolchain's, for this unit alone. */
  readonly flags?: readonly string[];
}

export interface BuildContext {
  readonly cache: Cache | null;
  readonly signal?: AbortSignal;
  readonly progress?: (done: number, total: number) => void;
  readonly linkFlags?: readonly string[];
}

/**
 * A shared object in the making: units are compiled side by side, as many as there are cores, while others are still being
 * written. Objects are cached by a hash of text, flags and compiler. Nothing stays in the folder for temporary files.
 */
export class SharedObjectBuild {
  readonly #toolchain: Toolchain;
  readonly #context: BuildContext;
  readonly #folder: Promise<string>;
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  readonly #units: Unit[] = [];
  readonly #workers: Promise<void>[] = [];
  #next = 0;
  #done = 0;
  #busy = 0;

  constructor(toolchain: Toolchain, context: BuildContext) {
    this.#toolchain = toolchain;
    this.#context = context;
    this.#signal = context.signal === undefined ? this.#stop.signal : AbortSignal.any([context.signal, this.#stop.signal]);
    this.#folder = mkdtemp(join(tmpdir(), 'tenon-'));
    this.#folder.catch(() => {});
  }

  /** Compiles a unit as soon as a core is free. What goes wrong is told by `finish`. */
  add(unit: Unit): void {
    this.#units.push(unit);
    if (this.#busy >= availableParallelism()) return;
    this.#busy++;
    const worker = this.#work().finally(() => this.#busy--);
    worker.catch((error: unknown) => this.#stop.abort(error));
    this.#workers.push(worker);
  }

  /** Links all units in the order in which they were added. */
  async finish(): Promise<Uint8Array> {
    try {
      await Promise.all(this.#workers);
      const folder = await this.#folder;
      const objects = this.#units.map((_, i) => `${i}.o`);
      const linked = await this.#run(['-shared', ...(this.#context.linkFlags ?? []), '-o', 'region.so', ...objects, '-lm', '-lpthread'], '');
      if (linked.code !== 0) throw compileFailed('linking', linked);
      return new Uint8Array(await readFile(join(folder, 'region.so')));
    } finally {
      await this.end();
    }
  }

  /** Ends what runs, and removes what was made. */
  async end(reason: unknown = new Error('the build was given up')): Promise<void> {
    this.#stop.abort(reason);
    // Compilers end before their folder goes.
    await Promise.allSettled(this.#workers);
    await this.#folder.then((folder) => rm(folder, { recursive: true, force: true }));
  }

  async #work(): Promise<void> {
    for (;;) {
      const index = this.#next++;
      const unit = this.#units[index];
      if (unit === undefined) {
        this.#next--;
        return;
      }
      this.#signal.throwIfAborted();
      await this.#compile(unit, `${index}.o`);
      this.#context.progress?.(++this.#done, this.#units.length);
    }
  }

  async #compile(unit: Unit, object: string): Promise<void> {
    const path = join(await this.#folder, object);
    if (unit.object !== undefined) return writeFile(path, unit.object);
    const { flags = [] } = unit;
    const { cache } = this.#context;
    const key = hash(['object', this.#toolchain.identity, ...flags, unit.text]);
    const cached = (await cache?.get(key)) ?? null;
    if (cached !== null) return writeFile(path, cached);
    const result = await this.#run([...this.#toolchain.flags, ...flags, '-c', '-x', 'c', '-', '-o', object], unit.text);
    if (result.code !== 0) throw compileFailed(unit.name, result);
    if (cache !== null) await cache.put(key, await readFile(path));
  }

  async #run(args: readonly string[], input: string): Promise<Finished> {
    const folder = await this.#folder;
    // What a killed compiler leaves behind goes with the folder.
    return runProcess(this.#toolchain.cc, args, input, { cwd: folder, env: { TMPDIR: folder }, signal: this.#signal });
  }
}

/** Compiles and links units that are at hand. */
export async function buildSharedObject(toolchain: Toolchain, units: readonly Unit[], context: BuildContext): Promise<Uint8Array> {
  const build = new SharedObjectBuild(toolchain, context);
  for (const unit of units) build.add(unit);
  return build.finish();
}

function compileFailed(name: string, result: Finished): TenonError {
  return new TenonError({
    code: 'cpu-c/compile-failed',
    message: `the C compiler failed at ${name}:\n${firstLines(result.stderr, 8) || `exit code ${result.code ?? 'unknown'}`}`,
    hint: 'this is a defect of the C target or of the compiler; please report it with the generated code',
  });
}
