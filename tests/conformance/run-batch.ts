import { join } from 'node:path';
import { mergeModules } from '../support/merge.ts';
import { host, type Engine, type Runnable } from '../support/engines.ts';
import { dataSets, type Case } from './cases.ts';
import type { Outcome } from './protocol.ts';
import { difference, readInputs, refusal } from './run-case.ts';

/**
 * Compiles the models of several cases into one artifact: each case is a part of one module, with its own parameters and
 * results. Most of the time per case is the C compiler's start; together equal kernels are compiled once. null where the
 * cases must be run one by one to know whose fault a failure is.
 */
export async function runBatch(cases: readonly Case[], engine: Engine): Promise<readonly Outcome[] | null> {
  const begin = performance.now();
  const outcomes = new Map<Case, Omit<Outcome, 'ms'>>();
  const imported: Case[] = [];
  let runnable: Runnable | null = null;
  try {
    runnable = await engine.prepareModule(async (session) => {
      const frontend = session.registry.frontends.find((f) => f.name === 'onnx')!;
      const modules = [];
      for (const c of cases) {
        if (dataSets(c).length !== 1) throw new Error(`${c.case} has several data sets`);
        try {
          modules.push(await frontend.import(await host.open(join(c.folder, 'model.onnx')), session, { dims: {} }));
          imported.push(c);
        } catch (error) {
          outcomes.set(c, refusal(error));
        }
      }
      return mergeModules(modules, session);
    });
    const sets = imported.map((c) => dataSets(c)[0]!);
    const inputs = sets.flatMap(readInputs);
    const got = await runnable.run(inputs);
    imported.forEach((c, part) => {
      const mine = got.filter((_, i) => runnable!.outputs[i]!.startsWith(`m${part}.`));
      const problem = difference(c, sets[part]!, mine);
      outcomes.set(c, problem === null ? { status: 'pass', code: null, message: null } : { status: 'wrong', code: null, message: problem });
    });
  } catch {
    return null;
  } finally {
    runnable?.dispose();
  }
  const ms = Math.round((performance.now() - begin) / cases.length);
  return cases.map((c) => ({ ...outcomes.get(c)!, ms }));
}
