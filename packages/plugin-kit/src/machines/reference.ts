/**
 * Targets that take operators and run them by their reference evaluation: the host that every model of the kit falls
 * back to, and the rivals that partition tests put beside the plugin's target.
 */
import {
  accept, definePlugin, op, reject,
  type Binding, type CodegenRegion, type GraphFunction, type Loader, type Match, type Plugin, type TensorType, type Value, type Verdict,
} from '@tenon/plugin';
import { parseModule, printModule, type Session } from '@tenon/core';
import { bytesOf, evaluateGraph, fromBytes } from '@tenon/interp';
import { contentsOf, type LaterQueue, memoryDevice } from './memory.ts';

export interface ReferenceTarget {
  readonly name: string;
  /** Its memory; `host` for that of the host. */
  readonly space: string;
  /** Whether it takes an operator. */
  readonly takes?: (binding: Binding) => boolean;
}

/** The compile half. Its blobs are regions in text form, with constants as further parameters. */
export function referenceTarget({ name, space, takes }: ReferenceTarget): Plugin {
  const check = (match: Match): Verdict => (takes === undefined || takes(match.bindings[0]!) ? accept() : reject(`${name}/other`, 'it takes other operators'));
  return definePlugin({ name: `@tenon/plugin-kit/${name}`, namespace: `kit-${name}` }, () => ({
    targets: [{
      name, form: 'graph', doc: 'Runs operators by their reference evaluation.', dtypes: [],
      device: () => ({
        name, peak: {}, bandwidth: 1e9, launch: { region: 1e-6, kernel: 1e-6 }, transfer: space === 'host' ? null : { latency: 1e-6, bandwidth: 1e9 },
        memory: [{ space, bytes: null }], features: {},
      }),
      codegen: (regions) => [{
        format: `kit-${name}`, formatVersion: 1,
        bytes: new TextEncoder().encode(JSON.stringify(Object.fromEntries(regions.map((r) => [r.name, { text: textOf(r), constants: r.constants.size }])))),
        entries: regions.map((r) => ({
          region: r.name, symbol: r.name, constants: [...r.constants.keys()], dims: r.dims, runDims: [], workspace: null,
          kernels: [{ name: r.name, ops: r.graph.bindings.map((b) => b.callee), locs: [], flops: null, bytes: null }],
        })),
        requires: {}, listing: '',
      }],
    }],
    rules: [{ id: `${name}/all`, target: name, pattern: op('*'), require: [], check, doc: 'Every operator.' }],
  }))();
}

/** The region as a module of its own; its constants are parameters after the others. */
function textOf(region: CodegenRegion): string {
  const { graph } = region;
  const names = new Set(graph.params.map((p) => p.name));
  for (const b of graph.bindings) for (const r of b.results) names.add(r.name);
  const constants = new Map<string, Value>();
  for (const [name, decl] of region.constants) {
    let unique = `constant_${name.replace(/\W/g, '_')}`;
    while (names.has(unique)) unique += '_';
    names.add(unique);
    constants.set(name, { name: unique, type: decl.type, constant: false });
  }
  const local = (v: Value): Value => (v.constant ? constants.get(v.name)! : v);
  const fn: GraphFunction = {
    ...graph, name: 'main', params: [...graph.params, ...constants.values()], attrs: {},
    bindings: graph.bindings.map((b) => ({ ...b, args: b.args.map((a) => a && local(a)) })),
    results: graph.results.map(local),
  };
  const dims = new Map(region.dims.map((name) => [name, { name, min: 0, max: null, multipleOf: 1, binding: 'call' as const, hint: null }]));
  return printModule({ dims, sources: new Map(), constants: new Map(), functions: new Map([['main', fn]]) });
}

/** The run half. `session` has the operators of the plugin. */
export function referenceLoader({ name, space }: ReferenceTarget, session: Session): Loader {
  return {
    name, format: `kit-${name}`, formatVersions: [1], native: false, device: memoryDevice(name, space),
    answer: () => ({ kind: 'optimal' }),
    load(_blob, bytes) {
      const texts = JSON.parse(new TextDecoder().decode(bytes)) as { readonly [symbol: string]: { readonly text: string; readonly constants: number } };
      return {
        bind(symbol, views, dims) {
          const { text, constants } = texts[symbol]!;
          const module = parseModule(text, session.exprs);
          const fn = module.functions.get('main') as GraphFunction;
          const known = new Map([...module.dims.keys()].map((dim, i) => [dim, dims[i]!]));
          const shapeOf = (v: Value): number[] => (v.type as TensorType).shape.map((d) => {
            const value = session.exprs.valueOf(session.exprs.substitute(d, new Map([...known].map(([k, n]) => [k, session.exprs.int(n)]))));
            if (value === null) throw new Error(`${symbol}: the shape of %${v.name} is not known`);
            return value;
          });
          // Parameters, results, constants, in this order.
          const own = fn.params.length - constants;
          const params = [...views.slice(0, own), ...views.slice(own + fn.results.length)];
          const outs = views.slice(own, own + fn.results.length);
          return {
            enqueue: (queue) => (queue as LaterQueue).push(async () => {
              const inputs = fn.params.map((p, i) => fromBytes((p.type as TensorType).dtype, shapeOf(p), contentsOf(params[i]!).slice()));
              const values = await evaluateGraph(module, fn, inputs, session, known);
              values.forEach((v, i) => contentsOf(outs[i]!).set(bytesOf(v)));
            }),
            runDims: [],
            dispose: () => undefined,
          };
        },
        dispose: () => undefined,
      };
    },
  };
}
