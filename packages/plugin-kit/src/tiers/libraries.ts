/** Entries of libraries, asked and run as rules are: linked into the code of their target, which the plugin's package names as a devDependency. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Cache, IRModule, Library, LibraryEntry, Loader, Plugin, Rule, Target } from '@tenon/plugin';
import { compileModule, type Compilation } from '@tenon/compiler';
import type { Session } from '@tenon/core';
import type { Case } from '../cases/explore.ts';
import { ask } from '../cases/verdict.ts';
import { findEntries, importLoader, importPlugin } from '../load.ts';
import type { PackageJson } from '../settings.ts';
import { bareHost, describeError, Workbench, type CompileMode } from '../workbench.ts';

/** An entry as the rule that it would be, and its target. */
export interface EntryRule {
  readonly rule: Rule;
  readonly target: Target;
  /** Compiles with the entry wherever it applies, and fails where it is not used. */
  readonly bench: Workbench;
}

/** The entries of a plugin's libraries whose targets are there. */
export async function entryRules(bench: Workbench): Promise<readonly EntryRule[]> {
  const found: EntryRule[] = [];
  const plugin = bench.makePlugin();
  const cache = memoryCache();
  for (const library of plugin.libraries ?? []) {
    checkLibrary(bench, library);
    const provider = plugin.targets?.some((t) => t.name === library.target)
      ? { plugin, makeLoader: bench.makeLoader! }
      : await providerOf(bench, library.target);
    if (provider === null) {
      bench.note('rules/library-target', `${library.name} is not tried: no package among the devDependencies has the target ${library.target}`);
      continue;
    }
    const target = linkingOnce(provider.plugin.targets!.find((t) => t.name === library.target)!);
    for (const entry of library.entries) {
      const rule: Rule = {
        id: `${library.name}/${entry.id}`, target: library.target, pattern: entry.pattern, require: entry.require, doc: entry.doc,
        ...(entry.check === undefined ? {} : { check: entry.check }),
      };
      found.push({ rule, target, bench: new LibraryBench(bench, joined(plugin, provider.plugin, target, only(library, entry)), provider.makeLoader, rule.id, cache) });
    }
  }
  return found;
}

/** Cases that an entry may be asked: one that holds for some values of symbolic dims only is none. */
export function entryCases(cases: readonly Case[], session: Session): readonly Case[] {
  return cases.filter((c) => {
    if (c.symbolic.length === 0) return true;
    const answer = ask(c.rule, c.instance, session, c.symbolic);
    return answer.kind === 'claimed' && answer.guards.length === 0;
  });
}

function checkLibrary(bench: Workbench, { name, doc, entries, provides }: Library): void {
  bench.check('rules/doc', doc.trim() !== '' ? null : `the library ${name} has no doc`);
  bench.check('rules/library', entries.length > 0 && provides.length > 0 ? null : `the library ${name} has no entries or provides no code`);
  for (const { id, benefit } of entries) {
    bench.check('rules/benefit', benefit === undefined || (Number.isFinite(benefit) && benefit > 0) ? null : `its benefit must be a positive number, not ${String(benefit)}`, `${name}/${id}`);
  }
}

/** The library with one entry, taken whatever it costs. */
function only(library: Library, { id, pattern, require, check, call, doc }: LibraryEntry): Library {
  return { ...library, entries: [{ id, pattern, require, ...(check === undefined ? {} : { check }), call, doc, benefit: 1e12 }] };
}

/** The target, asked once whether it can link a library. */
function linkingOnce(target: Target): Target {
  const { libraries } = target;
  if (libraries === undefined) return target;
  const answers = new Map<unknown, ReturnType<typeof libraries.link>>();
  const link: typeof libraries.link = (all, ctx) => {
    const code = all.at(-1)!.provides;
    const answer = answers.get(code) ?? libraries.link(all, ctx);
    answers.set(code, answer);
    return answer;
  };
  return { ...target, libraries: { ...libraries, link } };
}

/** One plugin of both: the library, and what the target needs. */
function joined(plugin: Plugin, provider: Plugin, target: Target, library: Library): Plugin {
  const given = provider === plugin ? [plugin] : [plugin, provider];
  const all = <T>(of: (p: Plugin) => readonly T[] | undefined): readonly T[] => given.flatMap((p) => of(p) ?? []);
  return {
    ...plugin, targets: [target], rules: all((p) => p.rules), schedules: all((p) => p.schedules), passes: all((p) => p.passes), ops: all((p) => p.ops),
    facets: all((p) => p.facets), dtypes: all((p) => p.dtypes), intrinsics: all((p) => p.intrinsics), libraries: [library],
  };
}

/** The package among a plugin's dependencies that has a target. */
async function providerOf(bench: Workbench, target: string): Promise<{ readonly plugin: Plugin; readonly makeLoader: () => Loader } | null> {
  const { dependencies, devDependencies, peerDependencies } = bench.json as PackageJson & { readonly devDependencies?: PackageJson['dependencies'] };
  for (const name of Object.keys({ ...devDependencies, ...dependencies, ...peerDependencies })) {
    const folder = installed(name, bench.folder);
    if (folder === null) continue;
    const json = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as PackageJson;
    const entries = findEntries(folder, json);
    if (!json.keywords?.includes('tenon-plugin') || entries.plugin === null || entries.loader === null) continue;
    try {
      const plugin = (await importPlugin(entries.plugin))();
      if (!plugin.targets?.some((t) => t.name === target)) continue;
      const make = await importLoader(entries.loader);
      return { plugin, makeLoader: () => make() };
    } catch (error) {
      bench.note('rules/library-target', `${name} cannot be used: ${describeError(error)}`);
    }
  }
  return null;
}

/** The folder of a package that a plugin's folder depends on. */
function installed(name: string, from: string): string | null {
  for (let folder = from; ; folder = dirname(folder)) {
    const path = join(folder, 'node_modules', name);
    if (existsSync(join(path, 'package.json'))) return path;
    if (dirname(folder) === folder) return null;
  }
}

class LibraryBench extends Workbench {
  readonly #entry: string;
  readonly #cache: Cache;

  constructor(bench: Workbench, plugin: Plugin, makeLoader: () => Loader, entry: string, cache: Cache) {
    super(bench, () => plugin, makeLoader, { failure: () => undefined, note: () => undefined, step: (about) => bench.step(about) });
    this.#entry = entry;
    this.#cache = cache;
  }

  override async compile(make: (session: Session) => IRModule, mode: CompileMode = {}): Promise<Compilation> {
    const compilation = await compileModule(make, { config: this.config(mode), host: { ...bareHost, cache: this.#cache } });
    const used = compilation.dispatches.some((d) => d.library === this.#entry);
    const told = compilation.dispatches.flatMap((d) => d.rejected).find((r) => r.rule === this.#entry);
    if (!used) throw new Error(`the entry takes it when asked, and generated code computes it${told === undefined ? '' : `: ${told.message} [${told.code}]`}`);
    return compilation;
  }
}

function memoryCache(): Cache {
  const kept = new Map<string, Uint8Array>();
  return { get: (key) => Promise.resolve(kept.get(key) ?? null), put: (key, bytes) => Promise.resolve(void kept.set(key, bytes)) };
}
