import { parseArgs } from 'node:util';
import { TenonError } from 'tenon';
import { nearest } from './nearest.ts';

export interface OptionSpec {
  /** What its value is called in help; absent: the option has none. */
  readonly value?: string;
  readonly short?: string;
  /** May be given several times. */
  readonly multiple?: boolean;
  readonly doc: string;
}
export type OptionSpecs = { readonly [name: string]: OptionSpec };

export interface ParsedArguments {
  readonly positionals: readonly string[];
  flag(name: string): boolean;
  /** The last one given. */
  value(name: string): string | undefined;
  values(name: string): readonly string[];
}

export interface CommandLine {
  readonly name: string;
  /** `NAME`, `[NAME]` where optional. */
  readonly positionals: readonly string[];
  readonly options: OptionSpecs;
}

const usage = (message: string, hint: string | null = null): TenonError => new TenonError({ code: 'usage/arguments', message, hint });

/** Parses what follows a command's name. Throws `usage/…` with a suggestion where one is near. */
export function parseArguments(command: CommandLine, argv: readonly string[]): ParsedArguments {
  const { options } = command;
  const { tokens } = parseArgs({
    args: [...argv], strict: false, tokens: true, allowPositionals: true,
    options: Object.fromEntries(Object.entries(options).map(([name, spec]) => [
      name, { type: spec.value === undefined ? ('boolean' as const) : ('string' as const), multiple: true, ...(spec.short === undefined ? {} : { short: spec.short }) },
    ])),
  });
  const given = new Map<string, string[]>();
  const positionals: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value);
    if (token.kind !== 'option') continue;
    const spec = options[token.name];
    if (spec === undefined) throw unknownOption(command, token.rawName);
    if (spec.value === undefined && token.value !== undefined) throw usage(`${token.rawName} takes no value`);
    if (spec.value !== undefined && (token.value === undefined || token.value === '')) throw usage(`${token.rawName} wants a value: ${token.rawName} ${spec.value}`);
    // `-o --json` means that the value was forgotten, not that a file is called so.
    if (token.value !== undefined && token.inlineValue === false && /^--?[a-z]/.test(token.value)) throw usage(`${token.rawName} wants a value: ${token.rawName} ${spec.value}`, `write ${token.rawName}=${token.value} if that is meant`);
    const earlier = given.get(token.name);
    if (earlier !== undefined && spec.value !== undefined && spec.multiple !== true) throw usage(`${token.rawName} is given twice`);
    given.set(token.name, [...(earlier ?? []), token.value ?? '']);
  }
  const required = command.positionals.filter((name) => !name.startsWith('['));
  if (positionals.length < required.length) throw usage(`${required[positionals.length]} is missing`, `usage: tenon ${usageLine(command)}`);
  if (positionals.length > command.positionals.length) throw usage(`${JSON.stringify(positionals[command.positionals.length])} is one argument too many`, `usage: tenon ${usageLine(command)}`);
  return {
    positionals,
    flag: (name) => given.has(name),
    value: (name) => given.get(name)?.at(-1),
    values: (name) => given.get(name) ?? [],
  };
}

export function usageLine(command: CommandLine): string {
  return [command.name, ...command.positionals, ...(Object.keys(command.options).length > 0 ? ['[options]'] : [])].join(' ');
}

function unknownOption(command: CommandLine, raw: string): TenonError {
  const near = raw.startsWith('--') ? nearest(raw.slice(2), Object.keys(command.options)) : null;
  return new TenonError({
    code: 'usage/unknown-option', message: `${command.name} has no option ${raw}`,
    hint: near === null ? `\`tenon help ${command.name}\` lists its options` : `did you mean --${near}?`,
  });
}

/** A whole number of at least `least`. */
export function parseCount(option: string, text: string | undefined, fallback: number, least: number): number {
  if (text === undefined) return fallback;
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (!Number.isSafeInteger(value) || value < least) throw usage(`--${option} wants a whole number of at least ${least}, not ${JSON.stringify(text)}`);
  return value;
}

export interface DimBounds {
  readonly min?: number;
  readonly max?: number;
  readonly multipleOf?: number;
}

/** `n=8`, `n=1..512`, `n=1..`, `n=..512`, `n=8..512%8`. */
export function parseDims(given: readonly string[]): { [name: string]: number | DimBounds } {
  const dims: [string, number | DimBounds][] = [];
  for (const text of given) {
    const match = /^([^=]+)=(?:(\d+)|(\d+)?\.\.(\d+)?)?(?:%(\d+))?$/.exec(text);
    const [, name, fixed, min, max, multipleOf] = match ?? [];
    const open = fixed === undefined && !text.includes('..') && multipleOf === undefined;
    if (name === undefined || open || (fixed !== undefined && multipleOf !== undefined) || multipleOf === '0') {
      throw new TenonError({ code: 'usage/dim', message: `--dim ${text} is not understood`, hint: 'write NAME=8, NAME=1..512, NAME=1.. or NAME=8..512%8 (a multiple of 8)' });
    }
    if (min !== undefined && max !== undefined && Number(min) > Number(max)) throw new TenonError({ code: 'usage/dim', message: `--dim ${text}: ${min} is more than ${max}` });
    dims.push([name, fixed !== undefined ? Number(fixed) : {
      ...(min === undefined ? {} : { min: Number(min) }), ...(max === undefined ? {} : { max: Number(max) }),
      ...(multipleOf === undefined ? {} : { multipleOf: Number(multipleOf) }),
    }]);
  }
  // Which also takes a dim called `__proto__`.
  return Object.fromEntries(dims);
}
