/** Writes the regions of a model as programs of the machine. */
import type { Binding, CodegenBlob, CodegenRegion, EntryManifest, Expr, KernelInfo, TargetContext, TensorType, Value } from '@tenon/plugin';
import { side } from './device.ts';
import { encode, format, formatVersion, type Instruction, type Program } from './program.ts';

/** All regions of a model come at once, so that they can share what they like; here they share a blob. */
export function codegen(regions: readonly CodegenRegion[], ctx: TargetContext): readonly CodegenBlob[] {
  const written = regions.map((region) => write(region, ctx));
  return [{
    format, formatVersion,
    bytes: encode(written.map((w) => w.program)),
    entries: written.map((w) => w.entry),
    requires: { side },
    listing: written.map(({ program }) => `${program.symbol}:\n${program.instructions.map((i) => `  %${i.out} = ${i.opcode} %${i.a}${i.b === null ? '' : ` %${i.b}`}`).join('\n')}`).join('\n\n'),
  }];
}

function write(region: CodegenRegion, ctx: TargetContext): { readonly program: Program; readonly entry: EntryManifest } {
  const { graph, name, constants, dims } = region;
  const { exprs } = ctx;
  // A call passes its views in this order. Constants go by name, as a region may mention one twice.
  const operands = new Map<Value | string, number>();
  for (const operand of [...graph.params, ...graph.results, ...constants.keys()]) operands.set(operand, operands.size);
  const views = operands.size;
  const instructions: Instruction[] = [];
  const kernels: KernelInfo[] = [];
  let workspace: Expr = exprs.int(0);

  const numberOf = (value: Value): number => operands.get(value.constant ? value.name : value) ?? ctx.fail({ code: 'acme/no-operand', message: `%${value.name} has no place` });
  const emit = (opcode: Instruction['opcode'], done: readonly Binding[], a: Value, b: Value | null, result: Value): void => {
    if (!operands.has(result)) {
      operands.set(result, operands.size);
      workspace = exprs.add(workspace, ctx.bytesOf(tensor(result)));
    }
    const [k, n] = [columns(a, ctx), columns(result, ctx)];
    instructions.push({ opcode, a: numberOf(a), b: b === null ? null : numberOf(b), out: numberOf(result), k, n });
    const elements = exprs.product(tensor(result).shape);
    kernels.push({
      name: opcode, ops: done.map((binding) => binding.callee), locs: done.flatMap(({ loc }) => (loc === null ? [] : [loc])),
      flops: b === null ? elements : exprs.mul(elements, 2 * k),
      bytes: [a, ...(b === null ? [] : [b]), result].map((value) => ctx.bytesOf(tensor(value))).reduce((sum, bytes) => exprs.add(sum, bytes)),
    });
  };

  // Bindings stand in an order in which they can run.
  const fused = new Set<Binding>();
  for (const binding of graph.bindings) {
    if (fused.has(binding)) continue;
    const result = binding.results[0]!;
    if (binding.callee !== 'nn.matmul') {
      emit('relu', [binding], binding.args[0]!, null, result);
      continue;
    }
    const relu = onlyUser(result, region);
    if (relu?.callee === 'nn.relu') fused.add(relu);
    const [a, b] = binding.args as readonly [Value, Value];
    if (relu?.callee === 'nn.relu') emit('matmul-relu', [binding, relu], a, b, relu.results[0]!);
    else emit('matmul', [binding], a, b, result);
  }
  const used = operands.size > views ? workspace : null;
  return {
    program: { symbol: name, views, instructions },
    entry: { region: name, symbol: name, constants: [...constants.keys()], dims, runDims: [], workspace: used, kernels },
  };
}

const tensor = (value: Value): TensorType => value.type as TensorType;

const columns = (value: Value, ctx: TargetContext): number =>
  ctx.exprs.valueOf(tensor(value).shape.at(-1)!) ?? ctx.fail({ code: 'acme/open-columns', message: `%${value.name} must have a known number of columns` });

/** The only binding that uses a value which does not leave the region. */
function onlyUser(value: Value, { graph }: CodegenRegion): Binding | null {
  const users = graph.bindings.filter((binding) => binding.args.includes(value));
  return users.length === 1 && !graph.results.includes(value) ? users[0]! : null;
}
