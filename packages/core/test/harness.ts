import {
  definePlugin, diagnosticOf, TenonError,
  type Attrs, type Config, type Diagnostic, type GraphFunction, type Host, type IRModule, type Operator, type Plugin,
} from '@tenon/plugin';
import { expect } from 'vitest';
import { parseModule } from '../src/text/index.ts';
import { Session, type SessionOptions } from '../src/session/index.ts';
import { verifyModule } from '../src/verify/index.ts';

export const host: Host = {
  name: 'test', now: () => 0, resolve: (_, path) => path, cache: null,
  open: (uri) => Promise.reject(new TenonError({ code: 'host/not-found', message: `${uri}: tests have no files` })),
};

/** An operator whose results have the type of its first argument. */
export function elementwise(name: string, params: readonly string[], attrs: Attrs = {}, results: readonly string[] = ['y']): Operator {
  return { name, doc: 'An operator of a test.', signature: { params, attrs, results }, facets: { infer: (call) => results.map(() => call.tensor(0)) } };
}

export const testOps: Plugin = definePlugin({ name: 'test-ops', namespace: 't' }, () => ({
  ops: [
    elementwise('t.neg', ['x']), elementwise('t.exp', ['x']), elementwise('t.relu', ['x']), elementwise('t.add', ['a', 'b']), elementwise('t.sub', ['a', 'b']),
    elementwise('t.mul', ['a', 'b']), elementwise('t.conv', ['x', 'w', 'bias?'], { groups: 1, strides: [1, 1] }), elementwise('t.split', ['x'], {}, ['a', 'b']),
  ],
}))();

export function testSession(config: Config = {}, options: Omit<Partial<SessionOptions>, 'config'> = {}): Session {
  return new Session({ host, ...options, config: { ...config, plugins: [testOps, ...(config.plugins ?? [])] } });
}

export function read(session: Session, text: string): IRModule {
  const module = parseModule(text, session.exprs);
  expect(verifyModule(module, session)).toEqual([]);
  return module;
}

export function main(module: IRModule): GraphFunction {
  const fn = module.functions.get('main');
  if (fn?.kind !== 'graph') throw new Error('no graph function main');
  return fn;
}

/** The diagnostic with which something fails. */
export async function failure(run: () => unknown): Promise<Diagnostic> {
  try {
    await run();
  } catch (error) {
    const found = diagnosticOf(error);
    if (found !== null) return found;
    throw error;
  }
  throw new Error('nothing was thrown');
}
