import { diagnosticOf, type HostTensor, type IRModule, type OperatorSample, type SampleArgument, type Value } from '@tenon/plugin';
import type { Session } from '@tenon/core';
import { zeros } from '@tenon/interp';
import { pick, randomTensor } from './random.ts';
import { isFloat } from './compare.ts';

/** One call of an operator as its samples give it. */
export interface Sampled {
  readonly op: string;
  readonly sample: OperatorSample;
}

export function samplesOf(session: Session): readonly Sampled[] {
  return session.operators().flatMap((o) => (session.facet(o.name, 'samples')?.() ?? []).map((sample) => ({ op: o.name, sample })));
}

/** A tensor as a sample argument describes it. */
export function materialize({ dtype, shape, values, range }: SampleArgument, random: () => number): HostTensor {
  if (values === undefined) return randomTensor(random, dtype, shape, range ?? (isFloat(dtype) ? [-2, 2] : dtype === 'bool' ? [0, 1] : dtype.startsWith('u') ? [0, 4] : [-4, 4]));
  const tensor = zeros(dtype, shape);
  values.forEach((v, i) => {
    tensor.data[i] = /^[iu]64$/.test(dtype) ? BigInt(v) : Number(v);
  });
  return tensor;
}

// Exact: they put operators into one kernel with the sampled one and add no error of their own. Which zero `nn.relu`
// gives for −0 is open, so it comes after only.
const exactBefore = ['math.neg', 'math.abs'];
const exactAfter = [...exactBefore, 'nn.relu'];

export interface SampleModule {
  readonly module: IRModule;
  readonly inputs: readonly HostTensor[];
}

/**
 * A module that calls a sampled operator, often with elementwise operators before and after it. Arguments that decide
 * shapes are constants, all others are parameters.
 */
export function sampleModule(session: Session, { op, sample }: Sampled, random: () => number): SampleModule {
  const tensors = sample.args.map((a) => a && materialize(a, random));
  const [before, after] = [random() < 0.4, random() < 0.6];
  const chosen = [pick(random, exactBefore), pick(random, exactAfter), pick(random, exactAfter)] as const;
  const build = (constantIntegers: boolean): SampleModule => {
    const module = session.module();
    const asConstant = (t: HostTensor): boolean => constantIntegers && !isFloat(t.dtype);
    const given = tensors.filter((t) => t !== null && !asConstant(t)) as HostTensor[];
    const b = module.graph('main', given.map((t, i) => ({ name: `x${i}`, type: session.types.tensor(t.dtype, t.shape) })));
    let next = 0;
    const args = tensors.map((t): Value | null => {
      if (t === null) return null;
      if (asConstant(t)) return b.constant(Array.from(t.data as ArrayLike<number | bigint>), t.dtype, t.shape);
      return b.params[next++]!;
    });
    const first = args[0];
    if (before && first && !first.constant && tensors[0]!.dtype === 'f32') args[0] = b.call(chosen[0], [first]);
    const results = b.op(op, args, sample.attrs).map((r, i) => {
      const used = after && r.type.kind === 'tensor' && r.type.dtype === 'f32';
      return used ? b.call(chosen[1 + (i % 2)]!, [r]) : r;
    });
    b.finish(results, results.map((_, i) => `y${i}`));
    return { module: module.finish(), inputs: given };
  };
  try {
    return build(false);
  } catch (error) {
    if (diagnosticOf(error) === null) throw error;
    return build(true);
  }
}
