import { accept, diagnosticOf, reject, type CodegenRegion, type Library, type LibrarySupport, type TargetContext, type Verdict } from '@tenon/plugin';
import { archOf, requiredFeatures } from './device.ts';
import { buildSharedObject, type Toolchain, type Unit } from './toolchain.ts';

/** Links libraries of C source text and of object files into generated code. */
export function librarySupport(toolchainFor: (ctx: TargetContext) => Promise<Toolchain>): LibrarySupport {
  return { formats: ['c-source', 'object'], link: async (libraries, ctx) => tryLink(libraries, ctx, await toolchainFor(ctx)) };
}

/** The units of all libraries that regions call, each once. */
export function libraryUnits(regions: readonly CodegenRegion[]): readonly Unit[] {
  return [...new Set(regions.flatMap((r) => r.libraries))].flatMap(unitsOf);
}

function unitsOf(library: Library): readonly Unit[] {
  return library.provides.map((unit): Unit => {
    const name = `the library ${library.name}`;
    return unit.format === 'object' ? { name, text: '', object: unit.bytes ?? new Uint8Array() } : { name, text: unit.text ?? '' };
  });
}

/** Compiles and links libraries by themselves, as a blob would: what they do not define, or define twice, shows here. */
async function tryLink(libraries: readonly Library[], ctx: TargetContext, toolchain: Toolchain): Promise<Verdict> {
  const symbols: string[] = [];
  const features = requiredFeatures(toolchain.macros);
  for (const { symbols: own, format, requires = {} } of libraries.flatMap((l) => l.provides)) {
    const bad = own.find((symbol) => !/^[A-Za-z_][A-Za-z0-9_]*$/.test(symbol) || symbol.startsWith('tenon_'));
    if (bad !== undefined) return reject('cpu-c/library-symbol', `${bad} is no name for a routine`, 'Symbols are C identifiers, and do not begin with tenon_.');
    for (const [name, here] of [['arch', archOf(toolchain.macros)], ['platform', process.platform]] as const) {
      const wanted = requires[name];
      if (wanted === here || (wanted === undefined && format !== 'object')) continue;
      return reject('cpu-c/library-machine', `its object file is for ${name} ${String(wanted ?? '(not stated)')}, not ${here}`, null);
    }
    const missing = (Array.isArray(requires['features']) ? requires['features'].map(String) : []).filter((f) => !features.includes(f));
    if (missing.length > 0) return reject('cpu-c/library-machine', `it uses instructions that the target does not: ${missing.join(', ')}`, null);
    symbols.push(...own);
  }
  const references = [
    ...symbols.map((s) => `extern __attribute__((visibility("hidden"))) int ${s}();`),
    `__attribute__((visibility("default"))) int (*tenon_references[])() = {${symbols.join(', ') || '0'}};`,
  ].join('\n');
  try {
    await buildSharedObject(toolchain, [...libraries.flatMap(unitsOf), { name: 'the symbols of the libraries', text: references }], {
      cache: ctx.host.cache, signal: ctx.signal, linkFlags: process.platform === 'darwin' ? [] : ['-Wl,-z,defs'],
    });
    return accept();
  } catch (error) {
    const cause = diagnosticOf(error);
    if (ctx.signal.aborted || cause?.code !== 'cpu-c/compile-failed') throw error;
    return reject('cpu-c/compile-failed', cause.message, null);
  }
}
