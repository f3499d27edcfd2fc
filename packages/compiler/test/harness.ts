import {
  accept, definePlugin, diagnosticOf, op, TenonError,
  type Config, type Constraint, type DeviceModel, type Diagnostic, type GraphFunction, type Host, type HostTensor, type IRModule, type Pass, type Pattern, type Plugin,
  type Rule, type Target, type TensorFunction,
} from '@tenon/plugin';
import { contextFor, diffModules, parseModule, printFunction, Session, verifyModule, type ResolvedTarget } from '@tenon/core';
import { standardOps } from '@tenon/ops';
import { expect } from 'vitest';

export const host: Host = {
  name: 'test', now: () => 0, resolve: (_, path) => path, cache: null,
  open: (uri) => Promise.reject(new TenonError({ code: 'host/not-found', message: `${uri}: tests have no files` })),
};

/** A session with the standard operators. */
export function testSession(config: Config = {}, signal?: AbortSignal): Session {
  return new Session({ config: { ...config, plugins: [standardOps(), ...(config.plugins ?? [])] }, host, ...(signal === undefined ? {} : { signal }) });
}

export interface TestTarget {
  readonly name: string;
  readonly form?: Target['form'];
  /** Patterns that it takes, each with its constraints; a string stands for one operator. Default: everything. */
  readonly takes?: readonly (string | Omit<Partial<Rule>, 'target'> & { readonly pattern: Pattern; readonly require?: readonly Constraint[] })[];
  readonly separate?: boolean;
  /** Figures that differ from those of a device that costs nothing to start. */
  readonly device?: Partial<DeviceModel>;
  readonly codegen?: Target['codegen'];
}

/** A target that generates no code: its entries are those that a code generator would return. */
export function testTarget({ name, form = 'kernels', takes = ['*'], separate = false, device = {}, codegen }: TestTarget): Plugin {
  const rules = takes.map((t, i): Rule => {
    const given = typeof t === 'string' ? { pattern: op(t) } : t;
    return { id: `${name}/${i}`, target: name, require: [], doc: 'A rule of a test.', check: () => accept(), ...given };
  });
  return definePlugin({ name: `test-${name}`, namespace: name }, () => ({
    targets: [{
      name, form, doc: 'Takes regions and generates nothing.', dtypes: [],
      device: () => ({
        name, peak: {}, bandwidth: 1e9, launch: { region: 0, kernel: 0 }, transfer: separate ? { latency: 1e-5, bandwidth: 1e9 } : null, memory: [], features: {}, ...device,
      }),
      codegen: codegen ?? ((regions) => [{
        format: name, formatVersion: 1, bytes: new Uint8Array(), requires: {}, listing: '',
        entries: regions.map((r) => ({
          region: r.name, symbol: r.name, constants: r.plan?.constants ?? [...r.constants.keys()], dims: r.dims, runDims: [], workspace: r.plan?.workspace ?? null, kernels: [],
        })),
      }]),
    }],
    rules,
  }))();
}

/** Reads a module and checks it. */
export function read(session: Session, text: string): IRModule {
  const module = parseModule(text, session.exprs);
  // From here on the session knows the module's dims, as it does of an imported one.
  const learnt = session.module(module).finish();
  expect(verifyModule(learnt, session)).toEqual([]);
  return learnt;
}

/** Runs passes one after the other over a module, and checks what comes out. */
export async function runPass(session: Session, passes: Pass | readonly Pass[], module: IRModule, target: ResolvedTarget | null = null): Promise<IRModule> {
  const ctx = contextFor(session, target);
  let current = module;
  for (const pass of 'run' in passes ? [passes] : passes) current = await pass.run(current, ctx);
  expect(verifyModule(current, session)).toEqual([]);
  return current;
}

/** Says where a module differs from the one that a text gives. */
export function expectModule(session: Session, got: IRModule, text: string): void {
  const want = parseModule(text, session.exprs);
  const difference = diffModules(got, want);
  if (difference !== null) expect(printed(got), difference).toBe(printed(want));
}

/** The functions of a module as text, with dims and constants left out. */
export function printed(module: IRModule): string {
  return [...module.functions.values()].map((fn) => printFunction(fn)).join('\n');
}

export function main(module: IRModule): GraphFunction {
  return graph(module, 'main');
}
export function graph(module: IRModule, name: string): GraphFunction {
  const fn = module.functions.get(name);
  if (fn?.kind !== 'graph') throw new Error(`no graph function ${name}`);
  return fn;
}
export function kernels(module: IRModule): TensorFunction[] {
  return [...module.functions.values()].filter((f) => f.kind === 'tensor');
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

export function floats(shape: readonly number[], random: () => number): HostTensor {
  return { dtype: 'f32', shape, data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => 2 * random() - 1) };
}
