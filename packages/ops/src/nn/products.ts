import type { HostTensor } from '@tenon/plugin';
import { isFloat } from '../common/dtypes.ts';
import { bigReader, bigWriter, numbers, reader, writer, type NumericTensor } from '../common/host-tensor.ts';

/**
 * `out[p] = start[p] + Σ a[i] · b[j]`, where `visit` calls `add(i, j)` for every product of output position p. Floats
 * accumulate in float64 and round once; integers are exact and wrap at the end.
 */
export function sumOfProducts(
  out: NumericTensor, a: HostTensor, b: HostTensor,
  visit: (position: number, add: (i: number, j: number) => void) => void,
  start: { readonly tensor: HostTensor; readonly index: (position: number) => number } | null = null,
): void {
  const count = out.data.length;
  if (isFloat(out.dtype)) {
    const x = numbers(a);
    const y = numbers(b);
    const first = start && reader(start.tensor);
    const write = writer(out);
    let sum = 0;
    const add = (i: number, j: number): void => {
      sum += x[i]! * y[j]!;
    };
    for (let p = 0; p < count; p++) {
      sum = first ? first(start.index(p)) : 0;
      visit(p, add);
      write(p, sum);
    }
    return;
  }
  const x = bigReader(a);
  const y = bigReader(b);
  const first = start && bigReader(start.tensor);
  const write = bigWriter(out);
  let sum = 0n;
  const add = (i: number, j: number): void => {
    sum += x(i) * y(j);
  };
  for (let p = 0; p < count; p++) {
    sum = first ? first(start.index(p)) : 0n;
    visit(p, add);
    write(p, sum);
  }
}
