import type { Buffer, TargetContext, TensorFunction } from '@tenon/plugin';
import { isShifted, isVariable, linearIn, type FormedStage, type Stage } from '@tenon/schedule';
import { packable, sumOfProducts } from '../contraction/plan.ts';
import { stageContext } from '../rows.ts';

/** An axis that the window slides along: `out[…, i, …] = Σ_k image[…, stride · i + k + first, …] · weights[…, k, …]`. */
export interface WindowAxis {
  /** Positions among the axes of the result, of the image and of the weights. */
  readonly result: number;
  readonly image: number;
  readonly weights: number;
  /** Taps of the window, and elements of the result. */
  readonly taps: number;
  readonly extent: number;
  readonly stride: number;
  readonly first: number;
}

/** A convolution with constant weights whose channels are innermost on both sides. */
export interface Convolution {
  readonly before: readonly Stage[];
  readonly sum: FormedStage;
  readonly epilogue: FormedStage | null;
  readonly image: Buffer;
  readonly weights: Buffer;
  readonly window: readonly WindowAxis[];
  /** Other axes of the result, with the axis of the image that they are; null where the image has one position there. */
  readonly batch: readonly { readonly result: number; readonly image: number | null; readonly extent: number }[];
  /** `first`: where they begin in the image, which may have others as well. */
  readonly channels: { readonly inputs: number; readonly outputs: number; readonly image: number; readonly first: number; readonly result: number; readonly weights: { readonly inputs: number; readonly outputs: number } };
}

/** The convolution that a function computes; else why Winograd's algorithm is not for it. */
export function convolutionOf(fn: TensorFunction, ctx: TargetContext): Convolution | string {
  const { exprs } = ctx;
  const found = sumOfProducts(fn, exprs);
  if (found === null) return 'it is no sum of products';
  const { before, sum, epilogue, operands } = found;
  const context = stageContext(fn, ctx);
  const extents = new Map([...sum.spatial, ...sum.reduce].map((i) => [i.name, exprs.valueOf(i.extent)]));
  if ([...extents.values()].includes(0)) return 'there are no elements';
  const extentOf = (name: string): number => extents.get(name)!;
  for (const [w, x] of [[0, 1], [1, 0]] as const) {
    const [weight, load] = [operands[w]!, operands[x]!];
    const outputs = sum.spatial.findIndex((iter) => weight.args.some((e) => isVariable(e, iter.name)));
    if (outputs < 0) continue;
    const output = sum.spatial[outputs]!;
    if (packable(fn, context, sum, weight, { positions: [outputs], extent: output.extent, indices: (i) => [i] }) === null) continue;
    if (load.args.some((e) => exprs.variables(e).includes(output.name))) continue;
    const image = context.buffers.get(load.value as string)!;
    const weightAxis = (name: string): number => weight.args.findIndex((e) => isVariable(e, name));
    const window: WindowAxis[] = [];
    let inputs: { readonly image: number; readonly first: number; readonly name: string } | null = null;
    const claimed = new Map<number, number>();
    const problem = load.args.map((index, axis): string | null => {
      const names = exprs.variables(index);
      const spatial = sum.spatial.findIndex((i) => names.includes(i.name));
      const reduce = sum.reduce.find((i) => names.includes(i.name));
      if (names.length === 0) return null;
      if (spatial >= 0 && claimed.has(spatial)) return 'an axis of the result is read along twice';
      if (spatial >= 0) claimed.set(spatial, axis);
      if (names.length === 1 && spatial >= 0) return isVariable(index, names[0]!) ? null : 'the window has steps along an axis where it has a single tap';
      if (reduce === undefined) return 'it is no convolution';
      if (names.length === 1) {
        if (!isShifted(index, reduce.name)) return 'the taps of the window are apart';
        if (inputs !== null) return 'it sums over several axes besides the window';
        inputs = { image: axis, first: exprs.valueOf(exprs.sub(index, exprs.variable(reduce.name)))!, name: reduce.name };
        return null;
      }
      if (names.length !== 2) return 'it is no convolution';
      const position = sum.spatial[spatial]!.name;
      const stride = linearIn(exprs, index, position);
      if (stride === null || stride < 1 || linearIn(exprs, index, reduce.name) !== 1) return 'the taps of the window are apart';
      const first = exprs.valueOf(exprs.substitute(index, new Map([position, reduce.name].map((name) => [name, exprs.int(0)]))));
      if (first === null) return 'it is no convolution';
      window.push({ result: spatial, image: axis, weights: weightAxis(reduce.name), taps: extentOf(reduce.name), extent: extentOf(position), stride, first });
      return null;
    }).find((p) => p !== null);
    if (problem != null) return problem;
    if (inputs === null) return 'it sums over no channels';
    const { image: inputAxis, first, name: inputName } = inputs as { readonly image: number; readonly first: number; readonly name: string };
    if (window.length === 0 || window.length > 2) return 'the window has neither one nor two axes';
    if (window.every((axis) => axis.taps === 1)) return 'the window has a single tap';
    if (sum.reduce.length !== window.length + 1) return 'it sums over several axes besides the window';
    const last = epilogue ?? sum;
    const stored = last.form.store.indices.at(-1)!;
    if (inputAxis !== image.shape.length - 1 || !isShifted(stored, last.spatial[outputs]!.name)) return 'channels are not innermost';
    // Products are numbered along the axes of the weights.
    window.sort((a, b) => a.weights - b.weights);
    return {
      before, sum, epilogue, image, weights: context.buffers.get(weight.value as string)!, window,
      batch: sum.spatial.flatMap((iter, result) =>
        (result === outputs || window.some((axis) => axis.result === result) ? [] : [{ result, image: claimed.get(result) ?? null, extent: extentOf(iter.name) }])),
      channels: {
        inputs: extentOf(inputName), outputs: extentOf(output.name), image: inputAxis, first, result: outputs,
        weights: { inputs: weightAxis(inputName), outputs: weightAxis(output.name) },
      },
    };
  }
  return 'it has no constant weights of one output channel each';
}
