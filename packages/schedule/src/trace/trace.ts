import { TenonError } from '@tenon/plugin';

/**
 * An argument of a step as data. Names of blocks, loops and buffers are marked as such, so that replay can follow them
 * where other choices give other names; expressions are text; a choice stands for its value.
 */
export type TraceValue =
  | null | boolean | number | string
  | { readonly block: string } | { readonly loop: string } | { readonly buffer: string }
  | { readonly expr: string }
  | { readonly choice: string }
  | readonly TraceValue[]
  | { readonly record: { readonly [key: string]: TraceValue } };

/** One primitive call, or one choice (`primitive: 'choose'`, whose result is its value). */
export interface TraceStep {
  readonly primitive: string;
  readonly args: { readonly [name: string]: TraceValue };
  /** Names that the step gave, in order. */
  readonly results: readonly string[];
}

export type ChoiceValue = number | string | boolean;

/** A free choice: what may be taken, and what was. */
export interface ChoiceStep {
  readonly primitive: 'choose';
  readonly name: string;
  readonly values: readonly ChoiceValue[];
  readonly value: ChoiceValue;
}

/** What a schedule did, in order. Plain data: `JSON.stringify` writes it, {@link parseTrace} reads it back. */
export interface Trace {
  readonly version: 1;
  readonly steps: readonly (TraceStep | ChoiceStep)[];
}

export function isChoice(step: TraceStep | ChoiceStep): step is ChoiceStep {
  return step.primitive === 'choose' && 'values' in step;
}

/** A trace, one step a line: `i_0, i_1 = split(loop=i, factors=[null, 4], tail="predicate")`. */
export function printTrace(trace: Trace): string {
  return trace.steps.map((step) => `${isChoice(step) ? choiceText(step) : stepText(step)}\n`).join('');
}

function choiceText(step: ChoiceStep): string {
  return `${step.name} = choose([${step.values.map((v) => JSON.stringify(v)).join(', ')}]) = ${JSON.stringify(step.value)}`;
}

function stepText(step: TraceStep): string {
  const args = Object.entries(step.args).map(([name, value]) => `${name}=${valueText(value)}`).join(', ');
  return `${step.results.length === 0 ? '' : `${step.results.join(', ')} = `}${step.primitive}(${args})`;
}

function valueText(value: TraceValue): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (isList(value)) return `[${value.map(valueText).join(', ')}]`;
  if ('record' in value) return `{${Object.entries(value.record).map(([k, v]) => `${k}: ${valueText(v)}`).join(', ')}}`;
  if ('block' in value) return value.block;
  if ('loop' in value) return value.loop;
  if ('buffer' in value) return value.buffer;
  return 'expr' in value ? `(${value.expr})` : value.choice;
}

export function isList(value: TraceValue): value is readonly TraceValue[] {
  return Array.isArray(value);
}

/** A trace from what `JSON.parse` gave. Throws `schedule/trace` for anything else. */
export function parseTrace(data: unknown): Trace {
  const bad = (what: string): never => {
    throw new TenonError({ code: 'schedule/trace', message: `this is no trace: ${what}` });
  };
  const object = (v: unknown): v is { [key: string]: unknown } => typeof v === 'object' && v !== null && !Array.isArray(v);
  const scalar = (v: unknown): v is ChoiceValue => ['number', 'string', 'boolean'].includes(typeof v);
  const value = (v: unknown): v is TraceValue => {
    if (v === null || scalar(v)) return true;
    if (Array.isArray(v)) return v.every(value);
    if (!object(v)) return false;
    const [key, ...rest] = Object.keys(v);
    if (key === undefined || rest.length > 0) return false;
    return key === 'record' ? object(v['record']) && Object.values(v['record']).every(value) : ['block', 'loop', 'buffer', 'expr', 'choice'].includes(key) && typeof v[key] === 'string';
  };
  if (!object(data) || data['version'] !== 1 || !Array.isArray(data['steps'])) return bad('it has no steps of version 1');
  for (const [k, step] of (data['steps'] as unknown[]).entries()) {
    if (!object(step) || typeof step['primitive'] !== 'string') return bad(`step ${k} names no primitive`);
    if (step['primitive'] === 'choose') {
      if (typeof step['name'] !== 'string' || !Array.isArray(step['values']) || !step['values'].every(scalar) || !scalar(step['value'])) return bad(`step ${k} is no choice`);
    } else if (!object(step['args']) || !Object.values(step['args']).every(value) || !Array.isArray(step['results']) || !step['results'].every((r) => typeof r === 'string')) {
      return bad(`step ${k} has no arguments or results`);
    }
  }
  return data as unknown as Trace;
}
