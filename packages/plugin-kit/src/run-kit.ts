/** Runs the kit on a plugin's folder, in a process of its own. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Job, Message } from './engine.ts';
import type { Failure, Note, Report, Tier, TierResult } from './report.ts';
import { isMatcher, matchesFailure, type FailureMatcher, type PackageJson } from './settings.ts';
import { readPackage } from './tiers/package.ts';

export interface KitOptions {
  /** Only this tier. */
  readonly tier?: Tier;
  /** Seconds after which the plugin counts as hanging. Default: 180. */
  readonly timeout?: number;
  /** Seconds after which a single step that blocks its process counts as hanging; one that waits has twice as long. Default: 20. */
  readonly patience?: number;
  /** Seconds for generated cases beyond the first few of every rule. Default: 16. */
  readonly budget?: number;
  /** Stops at the first failure. */
  readonly bail?: boolean;
  /** Hears which tier has begun. */
  readonly onTier?: (tier: Tier) => void;
}

/** The kit itself could not run: there is no plugin to look at. */
export class KitError extends Error {
  override readonly name = 'KitError';
}

/**
 * Checks the plugin in a folder. Rejects with a {@link KitError} where there is nothing to check; everything that is
 * wrong with the plugin, crashes and endless loops included, is a failure in the report.
 */
export async function runKit(folder: string | URL, options: KitOptions = {}): Promise<Report> {
  const path = resolve(typeof folder === 'string' ? folder : fileURLToPath(folder));
  const json = packageOf(path);
  const began = performance.now();
  const failures: Failure[] = [];
  const notes: Note[] = [];
  const results: TierResult[] = [];
  const lists: { unsupported: readonly FailureMatcher[]; expectedFailures: readonly FailureMatcher[] } = { unsupported: [], expectedFailures: [] };
  let current: Tier = 'package';
  const on = (message: Message): void => {
    switch (message.kind) {
      case 'begin': current = message.tier; options.onTier?.(current); break;
      case 'failure': failures.push(message.failure); break;
      case 'note': notes.push(message.note); break;
      case 'end': results.push(message.result); break;
      case 'settings': Object.assign(lists, { unsupported: message.settings.unsupported, expectedFailures: message.settings.expectedFailures }); break;
      case 'step':
      case 'done': break;
    }
  };
  const ended = await engine({ folder: path, tier: options.tier ?? null, budget: options.budget ?? 16 }, options.timeout ?? 180, options.patience ?? 20, options.bail ?? false, on);
  if (ended !== null) {
    failures.push({ tier: current, code: ended.code, message: ended.message });
    if (!results.some((r) => r.tier === current)) results.push({ tier: current, checks: 1, milliseconds: performance.now() - began, skipped: null });
  }

  const listed = (['unsupported', 'expectedFailures'] as const).flatMap((list) => lists[list].filter(isMatcher).map((matcher) => ({ list, matcher })));
  const expected: Report['expected'][number][] = [];
  const left: Failure[] = [];
  const met = new Set<FailureMatcher>();
  for (const failure of failures) {
    const found = listed.find(({ matcher }) => matchesFailure(matcher, failure));
    if (found === undefined) left.push(failure);
    else {
      met.add(found.matcher);
      expected.push({ ...failure, list: found.list, reason: found.matcher.reason });
    }
  }
  for (const { list, matcher } of listed) {
    if (list !== 'expectedFailures' || met.has(matcher) || (options.tier !== undefined && matcher.tier !== options.tier)) continue;
    left.push({ tier: (matcher.tier as Tier | undefined) ?? 'package', code: 'package/unexpected-pass', message: `tenon.expectedFailures lists what does not fail any more: remove it (${JSON.stringify(matcher)})` });
  }
  return {
    ok: left.length === 0, plugin: { name: json.name ?? '?', version: json.version ?? '?' },
    failures: left, expected, notes, tiers: results, milliseconds: performance.now() - began,
  };
}

function packageOf(folder: string): PackageJson {
  if (!existsSync(folder)) throw new KitError(`${folder} does not exist`);
  if (!existsSync(join(folder, 'package.json'))) throw new KitError(`${folder} has no package.json: it is no plugin's folder`);
  try {
    return readPackage(folder);
  } catch (error) {
    throw new KitError(`${join(folder, 'package.json')}: ${(error as Error).message}`);
  }
}

/** Resolves to null when the engine came to its end, else to how it ended. */
function engine(job: Job, seconds: number, patience: number, bail: boolean, on: (message: Message) => void): Promise<{ code: string; message: string } | null> {
  const own = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? './engine.ts' : './engine.js', import.meta.url));
  const flags = [...conditions(), '--disallow-code-generation-from-strings', '--disable-warning=ExperimentalWarning'];
  return new Promise((done) => {
    const child = spawn(process.execPath, [...new Set(flags), own, JSON.stringify(job)], { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
    let finished = false;
    let output = '';
    let hangs: string | null = null;
    let alive = performance.now();
    let step: { readonly about: string | null; readonly since: number } = { about: null, since: alive };
    const keep = (text: string): void => {
      output = (output + text).slice(-4000);
    };
    child.stdout!.setEncoding('utf8').on('data', keep);
    child.stderr!.setEncoding('utf8').on('data', keep);
    const began = alive;
    const timer = setInterval(() => {
      const now = performance.now();
      const late = (since: number, limit: number): boolean => now - since > limit * 1000;
      if (!late(began, seconds) && !late(alive, patience) && !late(step.since, 2 * patience)) return;
      const whole = late(began, seconds);
      hangs = `${step.about === null || whole ? '' : `${step.about}: `}it did not come to an end within ${whole ? seconds : late(alive, patience) ? patience : 2 * patience} s`;
      clearInterval(timer);
      child.kill('SIGKILL');
    }, 250);
    child.on('message', (message: Message) => {
      alive = performance.now();
      if (message.kind !== 'step' || message.about !== null) step = { about: message.kind === 'step' ? message.about : null, since: alive };
      if (message.kind === 'done') finished = true;
      if (message.kind === 'failure' && bail) {
        finished = true;
        child.kill('SIGKILL');
      }
      on(message);
    });
    child.on('error', (error) => {
      clearInterval(timer);
      done({ code: 'kit/not-started', message: error.message });
    });
    child.on('close', (code, signal) => {
      clearInterval(timer);
      if (hangs !== null) done({ code: 'kit/hangs', message: hangs });
      else if (finished) done(null);
      else done({ code: 'kit/crashed', message: `the process ended with ${signal ?? `exit code ${code}`}\n${output.trim().split('\n').slice(-12).join('\n')}` });
    });
  });
}

/** Where this process reads sources, whoever started it, its children do so as well. */
function conditions(): readonly string[] {
  // Those of vitest's workers are vitest's own.
  const given = process.env['VITEST'] === undefined ? process.execArgv.join(' ').matchAll(/(?:--conditions|-C)[= ](\S+)/g) : [];
  return [...given].map(([, name]) => `--conditions=${name!}`).concat(import.meta.url.endsWith('.ts') ? ['--conditions=tenon-source'] : []);
}
