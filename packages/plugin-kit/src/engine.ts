/**
 * Runs the tiers on one plugin and sends what it finds to the process that started it, which outlives crashes and
 * endless loops of the plugin. Started by `runKit` with a job in its first argument.
 */
import { join } from 'node:path';
import type { Loader, Plugin } from '@tenon/plugin';
import { findEntries, importLoader, importPlugin, isLoader, isPlugin, provideOwnPackages } from './load.ts';
import type { Failure, Note, Tier, TierResult } from './report.ts';
import { tiers } from './report.ts';
import { readSettings, type Settings } from './settings.ts';
import { checkArtifact } from './tiers/artifact.ts';
import { checkContract } from './tiers/contract.ts';
import { checkCost } from './tiers/cost.ts';
import { checkNumerics } from './tiers/numerics.ts';
import { checkPackage, readPackage, type PackageFindings } from './tiers/package.ts';
import { checkPartition } from './tiers/partition.ts';
import { checkRules } from './tiers/rules.ts';
import { checkRuntime } from './tiers/runtime.ts';
import { describeError, Workbench } from './workbench.ts';

export interface Job {
  readonly folder: string;
  /** null: all. */
  readonly tier: Tier | null;
  /** Seconds for generated cases, beyond the first few of every rule. */
  readonly budget: number;
}

export type Message =
  | { readonly kind: 'begin'; readonly tier: Tier }
  | { readonly kind: 'failure'; readonly failure: Failure }
  | { readonly kind: 'note'; readonly note: Note }
  /** `about` null: the process is alive. */
  | { readonly kind: 'step'; readonly about: string | null }
  | { readonly kind: 'end'; readonly result: TierResult }
  | { readonly kind: 'settings'; readonly settings: Settings }
  | { readonly kind: 'done' };

const send = (message: Message): void => void process.send!(message);
const listener = {
  failure: (failure: Failure) => send({ kind: 'failure', failure }),
  note: (note: Note) => send({ kind: 'note', note }),
  step: (about: string) => send({ kind: 'step', about }),
};

async function main(job: Job): Promise<void> {
  provideOwnPackages();
  const wanted = (tier: Tier): boolean => job.tier === null || job.tier === tier;
  const json = readPackage(job.folder);
  const settings = readSettings(job.folder, json, listener.failure);
  send({ kind: 'settings', settings });
  const entries = findEntries(job.folder, json);

  let began = performance.now();
  send({ kind: 'begin', tier: 'package' });
  const found = checkPackage(job.folder, json, entries);
  found.failures.forEach(listener.failure);
  found.notes.forEach(listener.note);
  const { bench, checks } = await open(job, json, settings, entries, found);
  send({ kind: 'end', result: { tier: 'package', checks: found.checks + checks, milliseconds: performance.now() - began, skipped: null } });
  if (bench === null) return;

  const steps: { readonly [tier in Exclude<Tier, 'package'>]: () => void | Promise<void> } = {
    contract: () => checkContract(bench, found.files),
    rules: () => checkRules(bench, found.files.plugin),
    numerics: () => checkNumerics(bench),
    partition: () => checkPartition(bench),
    artifact: () => checkArtifact(bench, found.files.loader),
    runtime: () => checkRuntime(bench),
    cost: () => checkCost(bench),
  };
  // Later tiers use what the rules were explored for.
  const order = ['rules', 'contract', 'numerics', 'partition', 'artifact', 'runtime', 'cost'] as const;
  const results = new Map<Tier, TierResult>();
  for (const tier of order) {
    const explores = tier === 'rules' && !wanted('rules');
    if (!wanted(tier) && !explores) continue;
    const skipped = hasLibraries(bench, tier) ? null : reasonToSkip(bench, tier);
    began = performance.now();
    if (!explores) send({ kind: 'begin', tier });
    bench.tier = tier;
    bench.checks = 0;
    bench.silent = explores;
    if (skipped === null) {
      try {
        await steps[tier]();
      } catch (error) {
        bench.fail(`${tier}/broken`, `the tier could not go on: ${describeError(error)}${process.env['TENON_KIT_DEBUG'] === undefined ? '' : `\n${(error as Error).stack ?? ''}`}`);
      }
    }
    bench.silent = false;
    results.set(tier, { tier, checks: bench.checks, milliseconds: performance.now() - began, skipped });
  }
  for (const tier of tiers) {
    const result = results.get(tier);
    if (result !== undefined && wanted(tier)) send({ kind: 'end', result });
  }
}

/** Libraries have no target of their own, and are asked and run all the same. */
const hasLibraries = (bench: Workbench, tier: Tier): boolean => (tier === 'rules' || tier === 'numerics') && (bench.makePlugin().libraries?.length ?? 0) > 0;

/** Imports both halves and looks whether they are what they should be. */
async function open(job: Job, json: ReturnType<typeof readPackage>, settings: Settings, entries: ReturnType<typeof findEntries>, found: PackageFindings): Promise<{ bench: Workbench | null; checks: number }> {
  const fail = (code: string, message: string): { bench: null; checks: number } => {
    listener.failure({ tier: 'package', code, message });
    return { bench: null, checks: 1 };
  };
  if (entries.plugin === null || found.files.plugin.size === 0) return { bench: null, checks: 0 };
  let makePlugin: () => Plugin;
  let makeLoader: (() => Loader) | null = null;
  try {
    const make = await importPlugin(entries.plugin);
    makePlugin = () => make(settings.options);
    const plugin = makePlugin();
    if (!isPlugin(plugin)) return fail('package/no-plugin', 'the entry "." must have the result of definePlugin(…) as its default export');
  } catch (error) {
    return fail('package/import', `the compile half cannot be imported: ${describeError(error)}`);
  }
  if (entries.loader !== null && found.files.loader.size > 0) {
    try {
      const make = await importLoader(entries.loader);
      makeLoader = () => make();
      if (!isLoader(makeLoader())) return fail('package/no-loader', 'the entry "./loader" must have as its default export a function that makes a loader');
    } catch (error) {
      return fail('package/import', `the run half cannot be imported: ${describeError(error)}`);
    }
  }
  const plugin = makePlugin();
  if ((plugin.targets?.length ?? 0) > 0 && makeLoader === null) {
    return fail('package/no-loader', `the plugin has the target ${plugin.targets![0]!.name}, and package.json exports no "./loader" that could run it`);
  }
  if ((plugin.targets?.length ?? 0) > 1) listener.note({ tier: 'package', code: 'package/targets', message: `only the first of ${plugin.targets!.length} targets is looked at: ${plugin.targets![0]!.name}` });
  try {
    return { bench: new Workbench({ folder: job.folder, json, settings, files: { plugin: entries.plugin, loader: entries.loader } }, makePlugin, makeLoader, listener, job.budget * 1000), checks: 3 };
  } catch (error) {
    return fail('package/session', `no session can be started with the plugin: ${describeError(error)}`);
  }
}

function reasonToSkip(bench: Workbench, tier: Tier): string | null {
  const plugin = bench.makePlugin();
  if (tier === 'rules' && bench.target === null && (plugin.rules ?? []).length === 0) return 'the plugin has no target and no rules';
  if (tier === 'numerics' && bench.target === null && (plugin.ops ?? []).length === 0) return 'the plugin has no target and no operators';
  if (bench.target === null && ['partition', 'artifact', 'runtime', 'cost'].includes(tier)) return 'the plugin has no target';
  if (['partition', 'artifact', 'runtime', 'cost'].includes(tier) && bench.explorations.every((e) => e.bases.length === 0)) return 'no rule takes anything';
  return null;
}

const job = JSON.parse(process.argv[2]!) as Job;
setInterval(() => send({ kind: 'step', about: null }), 1000).unref();
await main({ ...job, folder: join(job.folder) });
send({ kind: 'done' });
process.disconnect();
