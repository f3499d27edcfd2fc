import type { Value } from '@tenon/plugin';
import { type Converter, type ConverterTable, dtypeOf, scalarConstant } from '../convert.ts';

/** A sum of cosines Σ_m terms[m] · cos(2π·m·n / L) over n = 0 … size − 1, where L is `size`, or size − 1 where not periodic. */
const cosineWindow = (terms: readonly number[]): Converter => (c) => {
  const [size] = c.contents(0) ?? c.unsupported('onnx/dynamic-size', 'the size of a window must be constant or follow from shapes');
  const to = dtypeOf(c.int('output_datatype', 1));
  const dtype = to === 'f64' ? 'f64' : 'f32';
  const { b } = c;
  const scalar = (value: number): Value => scalarConstant(c, value, dtype);
  const period = c.int('periodic', 1) === 1 ? size! : c.exprs.sub(size!, 1);
  const phase = b.call('math.div', [
    b.call('math.cast', [b.call('shape.iota', [], { shape: [size!], axis: 0, dtype: 'i64' })], { to: dtype }),
    b.call('math.cast', [b.dims([period], [])], { to: dtype }),
  ]);
  let window: Value | null = null;
  for (const [m, factor] of terms.entries()) {
    const angle = b.call('math.mul', [phase, scalar(2 * Math.PI * m)]);
    const term = b.call('math.mul', [b.call('math.cos', [angle]), scalar(factor)]);
    window = window === null ? term : b.call('math.add', [window, term]);
  }
  return [to === dtype ? window! : b.call('math.cast', [window!], { to })];
};

/** ONNX rounds Hamming's α to 25/46. */
export const converters: ConverterTable = {
  HannWindow: { since: 17, convert: cosineWindow([0.5, -0.5]) },
  HammingWindow: { since: 17, convert: cosineWindow([25 / 46, -21 / 46]) },
  BlackmanWindow: { since: 17, convert: cosineWindow([0.42, -0.5, 0.08]) },
};
