import type { Config, Plugin } from '@tenon/plugin';
import type { BuildOptions } from './options.ts';

/** What a compilation uses where its user says nothing. */
export interface Defaults {
  readonly plugins: readonly Plugin[];
  /** null: every target that a plugin declares, by name. */
  readonly targets: NonNullable<Config['targets']> | null;
}

/** The default configuration, changed by the user's, changed by the options of the call. */
export function mergeConfig(defaults: Defaults, options: BuildOptions): Config {
  const { config = {}, target, dims } = options;
  const targets = target === undefined ? (config.targets ?? defaults.targets) : typeof target === 'string' ? [target] : target;
  return {
    ...config,
    plugins: mergePlugins(defaults.plugins, config.plugins ?? []),
    ...(targets === null ? {} : { targets }),
    ...(dims === undefined ? {} : { dims: { ...config.dims, ...dims } }),
  };
}

/** A user's plugin takes the place of the default one of its name. Two of the user's of one name are left for the session to refuse. */
export function mergePlugins(defaults: readonly Plugin[], own: readonly Plugin[]): readonly Plugin[] {
  if (!Array.isArray(own)) return own; // Validation says what is wrong with it.
  const names = new Set(own.map((plugin) => (plugin as Plugin | null)?.name));
  return [...defaults.filter((plugin) => !names.has(plugin.name)), ...own];
}
