import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { diagnosticOf, type HostTensor } from '@tenon/plugin';
import { readTensor } from '@tenon/frontend-onnx';
import { elementwiseDifference, typeDifference } from '../support/compare.ts';
import type { Engine, Runnable } from '../support/engines.ts';
import { dataSets, numbered, type Case } from './cases.ts';
import type { Outcome } from './protocol.ts';

/**
 * Codes that say "this is not supported". A refusal under any other code is an error: it claims that the model is wrong,
 * or that something broke.
 */
const refusals = /(^|\/)(unsupported(-[a-z-]+)?|not-supported|no-rule|no-definition|unknown-rank|unknown-dim|dynamic-[a-z-]+|training)$|^op\/dtype$/;

/** What a failure while preparing a model means for its case. */
export function refusal(error: unknown): Pick<Outcome, 'status' | 'code' | 'message'> {
  const d = diagnosticOf(error);
  if (d === null) return { status: 'error', code: null, message: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  return { status: refusals.test(d.code) ? 'unsupported' : 'error', code: d.code, message: d.message };
}

/** A tensor of a `.pb` file. Files with sequences or optionals belong to models that are refused before. */
export const readPb = (path: string): HostTensor => readTensor(new Uint8Array(readFileSync(path)));

export const readInputs = (set: string): readonly HostTensor[] => numbered(set, 'input').map(readPb);

/** Why results are not those of a data set, or null. */
export function difference(c: Case, set: string, got: readonly HostTensor[]): string | null {
  for (const [i, path] of numbered(set, 'output').entries()) {
    const result = got[i];
    if (result === undefined) return `there is no output ${i}`;
    const want = readPb(path);
    const text = c.tier === 'N' ? typeDifference(result, want) : elementwiseDifference(result, want, c);
    if (text !== null) return `${basename(set)}, output ${i}: ${text}`;
  }
  return null;
}

/** Prepares the model of a case and compares its results for every data set. */
export async function runCase(c: Case, engine: Engine): Promise<Outcome> {
  const begin = performance.now();
  const outcome = (rest: Pick<Outcome, 'status' | 'code' | 'message'>): Outcome => ({ ...rest, ms: Math.round(performance.now() - begin) });
  let runnable: Runnable;
  try {
    runnable = await engine.prepare(join(c.folder, 'model.onnx'));
  } catch (error) {
    return outcome(refusal(error));
  }
  try {
    for (const set of dataSets(c)) {
      const problem = difference(c, set, await runnable.run(readInputs(set)));
      if (problem !== null) return outcome({ status: 'wrong', code: null, message: problem });
    }
    return outcome({ status: 'pass', code: null, message: null });
  } catch (error) {
    const d = diagnosticOf(error);
    return outcome({ status: 'error', code: d?.code ?? null, message: d?.message ?? (error instanceof Error ? (error.stack ?? error.message) : String(error)) });
  } finally {
    runnable.dispose();
  }
}
