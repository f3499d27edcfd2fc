/** What a plugin's package.json says to the kit, under `tenon`, or in a file `tenon-kit.json` beside it. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AttrValue, ImportOptions } from '@tenon/plugin';
import type { Failure } from './report.ts';

/** Which failures an entry of a list means: all that are given must fit. `match`: a part of the message. */
export interface FailureMatcher {
  readonly tier?: string;
  readonly code?: string;
  readonly rule?: string;
  readonly match?: string;
  /** For people. */
  readonly what?: string;
  readonly reason: string;
}

/** An operator that the plugin's target must take: at all, or with these arguments. */
export interface Delegate {
  readonly op: string;
  /** Types as `f32[16, 32]`. */
  readonly args: readonly string[] | null;
  readonly attrs: { readonly [name: string]: AttrValue };
}

export interface Settings {
  /** Options for the plugin. */
  readonly options: { readonly [name: string]: unknown };
  /** Options for the target, as in a configuration. */
  readonly targetOptions: { readonly [name: string]: AttrValue };
  readonly mustDelegate: readonly Delegate[];
  /** Codes that its checks refuse with: each must be reached. */
  readonly rejections: readonly string[];
  /** Whether its loader finds damage anywhere in a blob. null: as its sources look. */
  readonly integrity: boolean | null;
  /** How far estimates may be off, as a factor. null: 10 where times are simulated, 30 where they are measured. */
  readonly costFactor: number | null;
  /** Deviation allowed relative to the largest element, by dtype; `exact`: none. */
  readonly tolerance: { readonly [dtype: string]: number };
  /** Whether infinities and NaN must come out as the operators say; otherwise it is noted where they do not. */
  readonly nonFinite: boolean;
  /** Models that its frontends read, for tests. */
  readonly samples: readonly ModelSample[];
  readonly unsupported: readonly FailureMatcher[];
  readonly expectedFailures: readonly FailureMatcher[];
}

/** A model: a file of the package, and sizes for its dims. */
export interface ModelSample {
  readonly file: string;
  readonly dims: ImportOptions['dims'];
}

/** Relative to the largest element: sums may run in any order and in the dtype itself. */
const defaultTolerance: { readonly [dtype: string]: number } = { f64: 1e-10, f32: 1e-4, f16: 1e-2, bf16: 8e-2, f8e4m3fn: 0.25, f8e5m2: 0.5 };

export interface PackageJson {
  readonly name?: string;
  readonly version?: string;
  readonly type?: string;
  readonly keywords?: readonly string[];
  readonly exports?: unknown;
  readonly main?: string;
  readonly files?: readonly string[];
  readonly dependencies?: { readonly [name: string]: string };
  readonly peerDependencies?: { readonly [name: string]: string };
  readonly optionalDependencies?: { readonly [name: string]: string };
  readonly tenon?: unknown;
}

/** Reads the settings. `fail` hears what is wrong with them. */
export function readSettings(folder: string, json: PackageJson, fail: (failure: Failure) => void): Settings {
  const wrong = (message: string): void => fail({ tier: 'package', code: 'package/settings', message });
  let given: { readonly [name: string]: unknown } = isObject(json.tenon) ? json.tenon : {};
  const file = join(folder, 'tenon-kit.json');
  if (existsSync(file)) {
    try {
      given = { ...given, ...(JSON.parse(readFileSync(file, 'utf8')) as object) };
    } catch (error) {
      wrong(`tenon-kit.json: ${(error as Error).message}`);
    }
  }
  const object = (name: string): { readonly [name: string]: never } => (isObject(given[name]) ? (given[name] as { readonly [name: string]: never }) : {});
  const list = (name: string): readonly unknown[] => {
    const value = given[name];
    if (value !== undefined && !Array.isArray(value)) wrong(`tenon.${name} must be a list`);
    return Array.isArray(value) ? value : [];
  };
  const matchers = (name: string): readonly FailureMatcher[] => list(name).filter((entry): entry is FailureMatcher => {
    const ok = isObject(entry) && typeof entry['reason'] === 'string' && entry['reason'] !== '';
    if (!ok) wrong(`tenon.${name}: every entry needs a \`reason\`, this one has none: ${JSON.stringify(entry)}`);
    return ok;
  });
  const tolerance: { [dtype: string]: number } = { ...defaultTolerance };
  for (const [dtype, value] of Object.entries(object('tolerance'))) {
    if (value === 'exact') tolerance[dtype] = 0;
    else if (typeof value === 'number' && value >= 0) tolerance[dtype] = value;
    else wrong(`tenon.tolerance.${dtype} must be a number or 'exact'`);
  }
  const factor: unknown = object('cost')['factor'];
  if (factor !== undefined && !(typeof factor === 'number' && factor >= 1)) wrong('tenon.cost.factor must be a number of at least 1');
  return {
    options: object('options'),
    targetOptions: object('targetOptions'),
    mustDelegate: list('mustDelegate').flatMap((entry): Delegate[] => {
      if (typeof entry === 'string') return [{ op: entry, args: null, attrs: {} }];
      if (isObject(entry) && typeof entry['op'] === 'string') {
        return [{ op: entry['op'], args: Array.isArray(entry['args']) ? entry['args'].map(String) : null, attrs: (entry['attrs'] ?? {}) as Delegate['attrs'] }];
      }
      wrong(`tenon.mustDelegate: an entry is an operator's name or { op, args?, attrs? }, not ${JSON.stringify(entry)}`);
      return [];
    }),
    rejections: list('rejections').map(String),
    integrity: typeof given['integrity'] === 'boolean' ? given['integrity'] : null,
    costFactor: typeof factor === 'number' && factor >= 1 ? factor : null,
    tolerance,
    nonFinite: given['nonFinite'] === true,
    samples: list('samples').flatMap((entry): ModelSample[] => {
      if (typeof entry === 'string') return [{ file: entry, dims: {} }];
      if (isObject(entry) && typeof entry['file'] === 'string') return [{ file: entry['file'], dims: (isObject(entry['dims']) ? entry['dims'] : {}) as ModelSample['dims'] }];
      wrong(`tenon.samples: an entry is a file's name or { file, dims? }, not ${JSON.stringify(entry)}`);
      return [];
    }),
    unsupported: matchers('unsupported'),
    expectedFailures: matchers('expectedFailures'),
  };
}

const isObject = (value: unknown): value is { readonly [name: string]: unknown } => typeof value === 'object' && value !== null && !Array.isArray(value);

/** Whether an entry of a list says anything about failures; otherwise it is documentation. */
export const isMatcher = ({ tier, code, rule, match }: FailureMatcher): boolean => [tier, code, rule, match].some((part) => part !== undefined);

export function matchesFailure(m: FailureMatcher, failure: Failure): boolean {
  return isMatcher(m)
    && (m.tier === undefined || m.tier === failure.tier)
    && (m.code === undefined || m.code === failure.code)
    && (m.rule === undefined || m.rule === failure.rule)
    && (m.match === undefined || failure.message.includes(m.match));
}
