import { formatVersion, sha256, toHex } from '@tenon/artifact';
import { Session } from '@tenon/core';
import type { ByteSource, Config, Host, Plugin } from '@tenon/plugin';

export interface KeyInput {
  readonly config: Config;
  readonly host: Host;
  readonly signal: AbortSignal | undefined;
  readonly source: ByteSource;
  /** SHA-256 of the model where it is in memory; null for files, whose id is trusted. */
  readonly contents: string | null;
  /** Absolute name of the model: external data is found beside it. */
  readonly uri: string;
  /** The plugins that are this package's own. */
  readonly defaultPlugins: readonly Plugin[];
  /** Identity of Tenon's code. */
  readonly identity: string;
}

/**
 * Why a compilation with this configuration must not be answered from a cache; null where it may. A plugin's code
 * cannot be compared by looking at it, so a foreign one must state a version; observers of the compilation and passes
 * given inline want it to happen.
 */
export function uncacheable(config: Config, defaultPlugins: readonly Plugin[]): string | null {
  const own = new Set(defaultPlugins.map((p) => p.name));
  for (const plugin of config.plugins ?? []) {
    if (defaultPlugins.includes(plugin)) continue;
    if (plugin.apply !== undefined) return `the plugin ${plugin.name} taps hooks`;
    if (!own.has(plugin.name) && plugin.version === undefined) return `the plugin ${plugin.name} states no version`;
  }
  const { insert = [], replace = {} } = config.passes ?? {};
  if (insert.length > 0 || Object.keys(replace).length > 0) return 'the configuration brings passes of its own';
  if (config.verify === 'pass') return 'every pass is to be verified';
  return null;
}

export interface CacheKeys {
  /** Under which the artifact of this compilation may be kept. Everything that can change a byte of it goes in. */
  readonly artifact: string;
  /** Everything but the model and its dims: under it, what is made of single kernels may be kept. */
  readonly identity: string;
}

/** SHA-256, in hex. */
export async function cacheKeys(input: KeyInput): Promise<CacheKeys> {
  const { config, host, source } = input;
  const session = new Session({ config, host, ...(input.signal === undefined ? {} : { signal: input.signal }) });
  try {
    const targets: unknown[] = [];
    for (const entry of config.targets ?? [...session.registry.targets.keys()]) {
      const [name, options] = typeof entry === 'string' ? [entry, {}] : entry;
      const { form, device } = await session.resolveTarget(name, options);
      // Peak rates and bandwidth are estimates that vary with the clock of the moment; what is generated goes by features.
      targets.push({ name, form, options, features: device.features, shared: device.transfer === null, memory: device.memory.map((m) => m.space) });
    }
    const plugins = session.registry.plugins.map((plugin) => {
      const known = input.defaultPlugins.includes(plugin);
      return { name: plugin.name, contract: plugin.contract, version: plugin.version, options: plain(plugin.options), code: known ? null : plain({ ...plugin, options: null }) };
    });
    const { passes, partition, dispatch, dims, foldLimit } = config;
    const identity = await digest({ format: formatVersion, code: input.identity, targets, plugins, options: { disable: passes?.disable, partition, dispatch, foldLimit } });
    return { artifact: await digest({ identity, model: [input.uri, input.contents ?? source.id], dims }), identity };
  } finally {
    session.end();
  }
}

export async function digest(data: unknown): Promise<string> {
  return toHex(await sha256(new TextEncoder().encode(JSON.stringify(plain(data)))));
}

/** Data as JSON holds it, keys sorted; functions by their source text. */
function plain(data: unknown, above: readonly object[] = []): unknown {
  if (typeof data === 'bigint') return `${data}n`;
  if (typeof data === 'function') return Function.prototype.toString.call(data);
  if (typeof data !== 'object' || data === null) return data ?? null;
  if (above.includes(data)) return 'cycle';
  const inside = [...above, data];
  if (Array.isArray(data)) return data.map((item) => plain(item, inside));
  if (ArrayBuffer.isView(data)) return Array.from(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  if (typeof (data as { entries?: unknown }).entries === 'function') return [...(data as Iterable<unknown>)].map((item) => plain(item, inside));
  return Object.fromEntries(Object.entries(data).sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, value]) => [key, plain(value, inside)]));
}
