import * as z from 'zod';
import { TenonError, type Config } from '@tenon/plugin';

const dimBound = z.union([
  z.number().int().nonnegative(),
  z.strictObject({
    min: z.number().int().nonnegative().optional(),
    max: z.number().int().nonnegative().optional(),
    multipleOf: z.number().int().positive().optional(),
  }),
], 'expected a size, or { min, max, multipleOf }').refine((v) => typeof v === 'number' || (v.min ?? 0) <= (v.max ?? Infinity), 'min is larger than max');
const named = z.custom<{ name: string }>((v) => typeof v === 'object' && v !== null && typeof (v as { name?: unknown }).name === 'string', 'expected an object with a name');

const schema = z.strictObject({
  plugins: z.array(named).optional(),
  targets: z.array(z.union([z.string(), z.tuple([z.string(), z.record(z.string(), z.unknown())])])).min(1, 'at least one target').optional(),
  passes: z.strictObject({
    disable: z.array(z.string()).optional(),
    insert: z.array(z.strictObject({ pass: named, after: z.string().optional(), before: z.string().optional() })).optional(),
    replace: z.record(z.string(), named).optional(),
  }).optional(),
  partition: z.strictObject({
    strategy: z.enum(['cost', 'greedy', 'host']).optional(),
    fallback: z.enum(['host', 'none']).optional(),
    require: z.record(z.string(), z.strictObject({ minCoverage: z.number().min(0).max(1).optional(), maxRegions: z.number().int().nonnegative().optional() })).optional(),
    costs: z.record(z.string(), z.record(z.string(), z.number().nonnegative())).optional(),
  }).optional(),
  dispatch: z.strictObject({ disable: z.array(z.string()).optional() }).optional(),
  dims: z.record(z.string(), dimBound).optional(),
  verify: z.enum(['phase', 'pass', 'off']).optional(),
  printAfter: z.array(z.string()).optional(),
  foldLimit: z.number().int().nonnegative().optional(),
});

/** Checks a configuration and returns it. Every problem is listed, with its path; misspelt keys get a suggestion. */
export function validateConfig(config: unknown, file: string | null = null): Config {
  const result = schema.safeParse(config);
  if (result.success) return config as Config;
  const problems = result.error.issues.flatMap((issue) => {
    const path = issue.path.join('.') || 'configuration';
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => {
        const near = nearest(key, keysAt(issue.path));
        return `${[...issue.path, key].join('.')}: unknown option${near === null ? '' : `; did you mean ${near}?`}`;
      });
    }
    return [`${path}: ${issue.message}`];
  });
  throw new TenonError({
    code: 'config/invalid',
    message: `${file ?? 'the configuration'} is not valid: ${problems.join('; ')}`,
    hint: 'defineConfig from @tenon/plugin gives your editor the allowed options.',
  });
}

function keysAt(path: readonly PropertyKey[]): string[] {
  let at: unknown = schema;
  for (const key of path) {
    at = unwrap(at);
    if (at instanceof z.ZodArray) at = at.element;
    else if (at instanceof z.ZodRecord) at = at.valueType;
    else if (at instanceof z.ZodObject) at = (at.shape as Record<PropertyKey, unknown>)[key];
    else return [];
  }
  const object = unwrap(at);
  return object instanceof z.ZodObject ? Object.keys(object.shape) : [];
}
function unwrap(s: unknown): unknown {
  return s instanceof z.ZodOptional ? s.unwrap() : s;
}

/** The candidate within an edit distance that a typo explains, or null. */
export function nearest(word: string, candidates: Iterable<string>): string | null {
  let best: string | null = null;
  let least = Math.max(2, Math.floor(word.length / 3)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase(), least);
    if (distance < least) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit;
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}
