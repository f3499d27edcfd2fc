import type { ByteSource, Context, ImportOptions, IRModule, Type, Value } from '@tenon/plugin';
import { TenonError, diagnosticOf, entryFunction } from '@tenon/plugin';
import { NodeConversion, type ImportState } from './conversion.ts';
import { dtypeOf, type ConverterTable } from './convert.ts';
import { FoldingBuilder } from './fold.ts';
import { InputDims } from './inputs.ts';
import type { OnnxAttribute, OnnxFunction, OnnxGraph, OnnxNode, OnnxValueInfo } from './model.ts';
import { LocalFunctions, checkVersions, domainOf, findConverter, locationOf, newestOpset, opsetsOf, type Opsets } from './opset.ts';
import { readModel } from './read.ts';
import { checkOperators } from './support.ts';
import { Tensors } from './tensors.ts';

/**
 * Attributes that a conversion may leave unread: hints, training options and marks of old opsets do not change what
 * inference computes; the others repeat a shape, or matter only where a conversion asks for them.
 */
const withoutEffect: ReadonlySet<string> = new Set([
  'consumed_inputs', 'is_test', 'spatial', 'momentum', 'seed', 'ratio', 'stash_type', 'softmax_precision', // no effect here
  'hidden_size', // of recurrent operators: the weights have it
  'noop_with_empty_axes', // asked for where axes are empty
  'saturate', // of casts to 8-bit floats
  'sorted', // of TopK: results are always sorted
  'storage_order', // of MaxPool: asked for where its indices are used
]);

/** Names that nodes may refer to: of the graph, or of one call of a local function. */
interface Scope {
  /** null: an optional input of a local function that the caller leaves out. */
  readonly values: Map<string, Value | null>;
  /** Attributes of the local function's call; null outside one. */
  readonly attributes: ReadonlyMap<string, OnnxAttribute> | null;
  readonly opsets: Opsets;
  readonly prefix: string;
}

/** Reads an ONNX model into a module whose function `main` has the model's inputs and outputs. */
export async function importModel(source: ByteSource, ctx: Context, options: ImportOptions, table: ConverterTable): Promise<IRModule> {
  const file = await readModel(source);
  const { model } = file;
  const { graph } = model;
  if (!graph) ctx.fail({ code: 'onnx/not-onnx', message: `${source.uri} contains no graph`, hint: 'it may be no ONNX model, or truncated' });
  const opsets = checkVersions(model, ctx);
  const functions = new LocalFunctions(model);
  checkOperators(graph, opsets, functions, table, ctx);

  const tensors = new Tensors(file, ctx);
  try {
    await loadTensors(graph, model.functions, tensors, ctx);
    const module = new GraphImport(graph, opsets, functions, tensors, ctx, options, table).run();
    tensors.closeUnused();
    return module;
  } catch (error) {
    tensors.closeUnused();
    throw error;
  }
}

/** Finds and checks the data of every tensor, and reads what converters need as numbers. */
async function loadTensors(graph: OnnxGraph, functions: readonly OnnxFunction[], tensors: Tensors, ctx: Context): Promise<void> {
  let done = 0;
  for (const tensor of graph.initializers) {
    await located(tensor.name, null, ctx, () => tensors.load(tensor, false));
    if (done++ % 64 === 0) ctx.progress('reading weights', done, graph.initializers.length);
  }
  for (const sparse of graph.sparseInitializers) await located(sparse.values?.name ?? '', null, ctx, () => tensors.loadSparse(sparse));
  const bodies = [{ nodes: graph.nodes, prefix: '' }, ...functions.map((f) => ({ nodes: f.nodes, prefix: `${f.name}/` }))];
  for (const { nodes, prefix } of bodies)
    for (const [index, node] of nodes.entries())
      for (const attribute of node.attributes)
        await located(locationOf(node, index, prefix), node.opType, ctx, async () => {
          if (attribute.t) await tensors.load(attribute.t, node.opType !== 'Constant');
          for (const tensor of attribute.tensors) await tensors.load(tensor, true);
          if (attribute.sparseTensor) await tensors.loadSparse(attribute.sparseTensor);
        });
  for (const f of functions)
    for (const attribute of f.attributeDefaults) if (attribute.t) await tensors.load(attribute.t, true);
}

class GraphImport {
  private readonly graph: OnnxGraph;
  private readonly functions: LocalFunctions;
  private readonly ctx: Context;
  private readonly table: ConverterTable;
  private readonly state: ImportState;
  private readonly scope: Scope;
  private done = 0;

  constructor(graph: OnnxGraph, opsets: Opsets, functions: LocalFunctions, tensors: Tensors, ctx: Context, options: ImportOptions, table: ConverterTable) {
    this.graph = graph;
    this.functions = functions;
    this.ctx = ctx;
    this.table = table;
    const module = ctx.module();
    this.scope = { values: new Map(), attributes: null, opsets, prefix: '' };

    const constants = new Set([...graph.initializers.map((t) => t.name), ...graph.sparseInitializers.map((s) => s.values?.name ?? '')]);
    const dims = new InputDims(module, ctx, options.dims);
    const params: { name: string; type: Type }[] = [];
    const names = new Set<string>();
    for (const info of graph.inputs) {
      if (constants.has(info.name)) continue;
      if (info.name === '' || names.has(info.name))
        ctx.fail({ code: 'onnx/duplicate-value', message: info.name ? `two inputs are named ${show(info.name)}` : 'an input has no name' });
      names.add(info.name);
      params.push({ name: info.name, type: locatedSync(info.name, null, ctx, () => dims.parameter(info), `input ${show(info.name)}`) });
    }
    dims.checkOptions();

    const b = new FoldingBuilder(module.graph(entryFunction, params), ctx);
    this.state = { b, module, ctx, tensors };
    b.params.forEach((value) => this.define(this.scope, value.name, value));
    for (const tensor of graph.initializers) this.constant(tensor.name, tensor);
    for (const sparse of graph.sparseInitializers) this.constant(sparse.values?.name ?? '', sparse);
  }

  private constant(name: string, tensor: Parameters<Tensors['constant']>[0]): void {
    locatedSync(name, null, this.ctx, () => {
      const { value, host } = this.state.tensors.constant(tensor, name, this.state.module);
      if (host) this.state.b.know(value, host);
      this.define(this.scope, name, value);
    });
  }

  run(): IRModule {
    const { graph, scope, state } = this;
    const ctx: Context = this.ctx;
    this.nodes(graph.nodes, scope);
    if (graph.outputs.length === 0) ctx.fail({ code: 'onnx/no-outputs', message: 'the graph has no outputs' });
    const names = graph.outputs.map((o) => o.name);
    const results = graph.outputs.map((info) => {
      const value = scope.values.get(info.name);
      if (!value) ctx.fail({ code: 'onnx/undefined-value', message: `the output ${show(info.name)} is computed by no node` });
      this.checkOutput(info, value);
      return value;
    });
    if (new Set(names).size !== names.length) ctx.fail({ code: 'onnx/duplicate-value', message: 'two outputs have the same name' });
    state.b.finish(results, names);
    return state.module.finish();
  }

  /** Compares what the model states of an output with what follows from its operators. */
  private checkOutput(info: OnnxValueInfo, value: Value): void {
    const stated = info.type?.tensor;
    const { type } = value;
    if (!stated || stated.elemType === 0 || type.kind !== 'tensor') return;
    const dtype = locatedSync(info.name, null, this.ctx, () => dtypeOf(stated.elemType));
    if (dtype !== type.dtype)
      this.ctx.fail({ code: 'onnx/type-mismatch', message: `the output ${show(info.name)} is stated to be ${dtype}, but its node computes ${type.dtype}` });
    const dims = stated.shape?.dims;
    if (!dims) return;
    const differs = dims.length !== type.shape.length || dims.some((d, i) => d.dimValue !== null && d.dimValue >= 0 && (this.ctx.exprs.valueOf(type.shape[i]!) ?? d.dimValue) !== d.dimValue);
    if (differs)
      this.ctx.report({
        severity: 'warning', code: 'onnx/output-shape',
        message: `the output ${show(info.name)} is stated to have the shape [${dims.map((d) => d.dimValue ?? d.dimParam ?? '?').join(', ')}], but its node computes another`,
      });
  }

  private define(scope: Scope, name: string, value: Value | null): void {
    if (scope.values.has(name))
      throw new TenonError({ code: 'onnx/duplicate-value', message: `two values are named ${show(name)}`, hint: 'every name must be defined once (static single assignment)' });
    scope.values.set(name, value);
  }

  private nodes(nodes: readonly OnnxNode[], scope: Scope): void {
    nodes.forEach((node, index) => {
      const location = locationOf(node, index, scope.prefix);
      if (this.done++ % 64 === 0) this.ctx.progress('importing', Math.min(this.done, this.graph.nodes.length), this.graph.nodes.length);
      locatedSync(location, node.opType, this.ctx, () => {
        const inputs = node.inputs.map((name) => (name === '' ? null : this.value(name, nodes, index, scope)));
        const values = this.node(node, location, inputs, scope);
        node.outputs.forEach((name, i) => {
          if (name === '') return;
          const value = values[i];
          if (!value) throw new TenonError({ code: 'onnx/unsupported-output', message: `output ${i} (${show(name)}) is not supported` });
          this.define(scope, name, value);
        });
      });
    });
  }

  private value(name: string, nodes: readonly OnnxNode[], index: number, scope: Scope): Value | null {
    const value = scope.values.get(name);
    if (value !== undefined) return value;
    const later = nodes.slice(index).findIndex((n) => n.outputs.includes(name));
    if (later >= 0)
      throw new TenonError({
        code: 'onnx/not-sorted',
        message: `the input ${show(name)} is computed only ${later === 0 ? 'by this node itself' : `later, by ${locationOf(nodes[index + later]!, index + later, scope.prefix)}`}: the graph is not topologically sorted, or has a cycle`,
        hint: 'export the model again: ONNX requires nodes in an order in which every input is computed before',
      });
    throw new TenonError({ code: 'onnx/undefined-value', message: `the input ${show(name)} is neither an input of the graph nor computed by any node` });
  }

  private node(node: OnnxNode, location: string, inputs: readonly (Value | null)[], scope: Scope): readonly (Value | null)[] {
    const attributes = resolve(node, scope);
    const local = this.functions.find(node);
    if (local) return this.call(local, location, inputs, attributes, scope);
    const domain = domainOf(node.domain);
    this.state.b.loc = location;
    const entry = findConverter(this.table, node)!;
    const c = new NodeConversion(this.state, node, domain, scope.opsets.get(domain) ?? 1, inputs, attributes);
    const results = entry.convert(c);
    const [unread] = c.unread().filter((name) => !withoutEffect.has(name));
    if (unread !== undefined) {
      // Conversions know the attributes of the opsets that they cover; a newer opset, or anybody, may add one that matters.
      if (c.opset > newestOpset || domain !== '') c.unsupported('onnx/unsupported-attribute', `the attribute ${unread} is not supported`);
      this.state.ctx.report({ severity: 'note', code: 'onnx/ignored-attribute', op: node.opType, loc: location, message: `${node.opType}: the attribute ${unread} is not looked at` });
    }
    return results;
  }

  /** Converts the body of a local function in place of its call. */
  private call(f: OnnxFunction, location: string, inputs: readonly (Value | null)[], given: ReadonlyMap<string, OnnxAttribute>, outer: Scope): readonly (Value | null)[] {
    if (inputs.length > f.inputs.length) throw new TenonError({ code: 'onnx/too-many-inputs', message: `${f.name} takes ${f.inputs.length} inputs, not ${inputs.length}` });
    const attributes = new Map([...f.attributeDefaults.map((a) => [a.name, a] as const), ...given]);
    const own = opsetsOf(f.opsets);
    const scope: Scope = { values: new Map(), attributes, opsets: own.size ? own : outer.opsets, prefix: `${location}/` };
    f.inputs.forEach((name, i) => this.define(scope, name, inputs[i] ?? null));
    this.nodes(f.nodes, scope);
    return f.outputs.map((name) => scope.values.get(name) ?? null);
  }
}

/** A node's attributes, with references to attributes of the surrounding local function replaced; unset ones are left out. */
function resolve(node: OnnxNode, scope: Scope): ReadonlyMap<string, OnnxAttribute> {
  const attributes = new Map<string, OnnxAttribute>();
  for (const attribute of node.attributes) {
    if (attributes.has(attribute.name)) throw new TenonError({ code: 'onnx/duplicate-attribute', message: `the attribute ${attribute.name} occurs twice` });
    if (!attribute.refAttrName) {
      attributes.set(attribute.name, attribute);
      continue;
    }
    if (!scope.attributes)
      throw new TenonError({ code: 'onnx/attribute-reference', message: `the attribute ${attribute.name} refers to ${attribute.refAttrName} of a function, but the node is in none` });
    const referred = scope.attributes.get(attribute.refAttrName);
    if (referred) attributes.set(attribute.name, { ...referred, name: attribute.name });
  }
  return attributes;
}

/** A name in messages: quoted, not too long. */
function show(name: string): string {
  return JSON.stringify(name.length > 100 ? `${name.slice(0, 100)}…` : name);
}

/** Adds operator and location to what goes wrong inside; anything that is no diagnostic becomes one. */
function outward(error: unknown, location: string, opType: string | null, ctx: Context, what: string | null): never {
  const inner = diagnosticOf(error);
  if (ctx.signal.aborted) throw error;
  const subject = opType ?? what;
  const short = location.length > 200 ? `${location.slice(0, 200)}…` : location;
  if (!inner)
    throw new TenonError(
      { code: 'onnx/internal', message: `${subject ?? short}: ${error instanceof Error ? error.message : String(error)}`, op: opType, loc: short, hint: 'this is a defect of the ONNX frontend or of an operator: please report it with the model' },
      { cause: error },
    );
  // A node of a local function was located when it failed.
  if (inner.loc !== null) throw error;
  throw new TenonError({ ...inner, message: subject ? `${subject}: ${inner.message}` : inner.message, op: opType ?? inner.op, loc: short }, { cause: error });
}
function locatedSync<T>(location: string, opType: string | null, ctx: Context, run: () => T, what: string | null = null): T {
  try {
    return run();
  } catch (error) {
    return outward(error, location, opType, ctx, what);
  }
}
async function located<T>(location: string, opType: string | null, ctx: Context, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    return outward(error, location, opType, ctx, null);
  }
}
