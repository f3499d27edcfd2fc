/** Writes the regions of a model as programs of the machine. */
import type { Binding, CodegenBlob, CodegenRegion, EntryManifest, Expr, KernelInfo, TargetContext, TensorType, Value } from '@tenon/plugin';
import { encode, format, formatVersion, type Instruction, type Program } from './blob.ts';
import { side, type Mode } from './device.ts';

export function codegen(regions: readonly CodegenRegion[], ctx: TargetContext): readonly CodegenBlob[] {
  const written = regions.map((region) => new RegionWriter(region, ctx).write());
  return [{
    format, formatVersion,
    bytes: encode(written.map((w) => w.program)),
    entries: written.map((w) => w.entry),
    requires: { side },
    listing: written.map((w) => `${w.program.symbol}:\n${w.program.instructions.map((i) => `  ${describe(i)}\n`).join('')}`).join('\n'),
  }];
}

const describe = ({ opcode, mode, a, b, bias, relu, out, k, n }: Instruction): string =>
  `%${out} = ${opcode} ${mode} %${a}${b === null ? '' : ` %${b}`}${bias === null ? '' : ` + %${bias}`}${relu ? ' relu' : ''} (k ${k}, n ${n})`;

/** The operators that one rule took. */
interface Group {
  readonly bindings: readonly Binding[];
  readonly mode: Mode;
}

class RegionWriter {
  readonly #region: CodegenRegion;
  readonly #ctx: TargetContext;
  readonly #slots = new Map<Value | string, number>();
  readonly #views: number;
  readonly #temporaries: { rowsOf: number; rowBytes: number; columns: number; bytes: Expr }[] = [];
  readonly #instructions: Instruction[] = [];
  readonly #kernels: KernelInfo[] = [];
  readonly #users = new Map<Value, Set<Binding>>();

  constructor(region: CodegenRegion, ctx: TargetContext) {
    this.#region = region;
    this.#ctx = ctx;
    const { graph } = region;
    for (const p of graph.params) this.#slots.set(p, this.#slots.size);
    for (const r of graph.results) this.#slots.set(r, this.#slots.size);
    for (const name of region.constants.keys()) this.#slots.set(name, this.#slots.size);
    this.#views = this.#slots.size;
    for (const binding of graph.bindings) {
      for (const arg of binding.args) if (arg !== null) this.#users.set(arg, (this.#users.get(arg) ?? new Set()).add(binding));
    }
  }

  write(): { readonly program: Program; readonly entry: EntryManifest } {
    const { name, constants, dims } = this.#region;
    for (const group of this.#groups()) this.#writeGroup(group);
    const { exprs } = this.#ctx;
    const temporaries = this.#temporaries;
    return {
      program: { symbol: name, views: this.#views, temporaries, instructions: this.#instructions },
      entry: {
        region: name, symbol: name, constants: [...constants.keys()], dims, runDims: [],
        workspace: temporaries.length === 0 ? null : temporaries.reduce((sum, t) => exprs.add(sum, t.bytes), exprs.int(0)),
        kernels: this.#kernels,
      },
    };
  }

  /** What the rules took, each after those whose results it uses. */
  #groups(): readonly Group[] {
    const producer = new Map<string, Binding>();
    for (const b of this.#region.graph.bindings) for (const r of b.results) producer.set(r.name, b);
    const groupOf = new Map<Binding, Group>();
    for (const { rule, results } of this.#region.matches) {
      const group: Group = { mode: rule.startsWith('toy/int8') ? 'int8' : 'f32', bindings: [...new Set(results.map((r) => producer.get(r)!))] };
      for (const b of group.bindings) groupOf.set(b, group);
    }
    const ordered = new Set<Group>();
    const visit = (group: Group): void => {
      if (ordered.has(group)) return;
      for (const b of group.bindings) {
        for (const arg of b.args) {
          const before = arg === null || arg.constant ? undefined : groupOf.get(producer.get(arg.name)!);
          if (before !== undefined && before !== group) visit(before);
        }
      }
      ordered.add(group);
    };
    for (const group of groupOf.values()) visit(group);
    return [...ordered];
  }

  /** One instruction for the whole group, unless a result inside it is used elsewhere, too. */
  #writeGroup({ bindings, mode }: Group): void {
    const members = new Set(bindings);
    const find = (callee: string): Binding | undefined => bindings.find((b) => b.callee === callee);
    const leaves = (v: Value): boolean => this.#region.graph.results.includes(v) || [...(this.#users.get(v) ?? [])].some((b) => !members.has(b));
    const matmul = find('nn.matmul')!;
    // The array widens by itself; whoever else wants the wide integers gets them from the vector unit.
    const wanted = (v: Value): boolean => this.#region.graph.results.includes(v) || [...(this.#users.get(v) ?? [])].some((b) => b !== matmul);
    for (const cast of bindings.filter((b) => b.callee === 'math.cast' && wanted(b.results[0]!))) this.#emitWiden(cast, mode);

    const unwrap = (v: Value): Value => {
      const cast = bindings.find((b) => b.callee === 'math.cast' && b.results[0] === v);
      return cast === undefined ? v : cast.args[0]!;
    };
    const [a, b] = [unwrap(matmul.args[0]!), unwrap(matmul.args[1]!)];
    const [sum, relu] = [find('math.add'), find('nn.relu')];
    let current: { a: Value; b: Value | null; bias: Value | null; relu: boolean; done: Binding[] } = { a, b, bias: null, relu: false, done: bindings.filter((c) => c.callee === 'math.cast' || c === matmul) };
    let value = matmul.results[0]!;
    /** Ends the instruction at hand where its result is needed for itself. */
    const next = (step: Binding): void => {
      if (leaves(value)) {
        this.#emit(current.b === null ? 'vector' : 'dense', mode, current, value);
        current = { a: value, b: null, bias: null, relu: false, done: [] };
      }
      current.done.push(step);
    };
    if (sum !== undefined) {
      const bias = sum.args.find((arg) => arg !== value)!;
      next(sum);
      current.bias = bias;
      value = sum.results[0]!;
    }
    if (relu !== undefined) {
      next(relu);
      current.relu = true;
      value = relu.results[0]!;
    }
    this.#emit(current.b === null ? 'vector' : 'dense', mode, current, value);
  }

  #emitWiden(cast: Binding, mode: Mode): void {
    const out = cast.results[0]!;
    this.#emit('widen', mode, { a: cast.args[0]!, b: null, bias: null, relu: false, done: [cast] }, out);
  }

  #emit(opcode: Instruction['opcode'], mode: Mode, parts: { a: Value; b: Value | null; bias: Value | null; relu: boolean; done: readonly Binding[] }, value: Value): void {
    const { exprs } = this.#ctx;
    const [k, n] = [this.#columns(parts.a), this.#columns(value)];
    const rows = tensor(parts.a).shape[0]!;
    if (opcode === 'dense' && [k, n, exprs.divisor(rows, this.#region.facts)].some((d) => d % side !== 0) && exprs.valueOf(rows) !== null) {
      this.#ctx.fail({ code: 'toy/not-tiled', message: `a product of ${k} × ${n} does not fill tiles of ${side} × ${side}` });
    }
    const slot = (v: Value): number => this.#slots.get(v.constant ? v.name : v) ?? this.#ctx.fail({ code: 'toy/no-value', message: `%${v.name} has no place` });
    const aSlot = slot(parts.a);
    const rowBytes = k * bytesPerElement(tensor(parts.a).dtype);
    let out = this.#slots.get(value);
    if (out === undefined) {
      out = this.#views + this.#temporaries.length;
      this.#temporaries.push({ rowsOf: aSlot, rowBytes, columns: n, bytes: this.#ctx.bytesOf(tensor(value)) });
      this.#slots.set(value, out);
    }
    this.#instructions.push({
      opcode, mode, a: aSlot, b: parts.b === null ? null : slot(parts.b), bias: parts.bias === null ? null : slot(parts.bias), relu: parts.relu, out, k, n,
      weight: parts.b === null ? 4 : bytesPerElement(tensor(parts.b).dtype),
    });
    const moved = [parts.a, parts.b, parts.bias, value].filter((v) => v !== null).map((v) => this.#ctx.bytesOf(tensor(v)));
    const elements = exprs.product(tensor(value).shape);
    this.#kernels.push({
      name: opcode, ops: parts.done.map((b) => b.callee), locs: parts.done.flatMap((b) => (b.loc === null ? [] : [b.loc])),
      flops: opcode === 'dense' ? exprs.mul(elements, 2 * k) : elements,
      bytes: moved.reduce((total, bytes) => exprs.add(total, bytes), exprs.int(0)),
    });
  }

  #columns(v: Value): number {
    return this.#ctx.exprs.valueOf(tensor(v).shape[1]!) ?? this.#ctx.fail({ code: 'toy/open-columns', message: `%${v.name} must have a known number of columns` });
  }
}

const tensor = (v: Value): TensorType => v.type as TensorType;
const bytesPerElement = (dtype: string): number => (dtype === 'i8' ? 1 : 4);
