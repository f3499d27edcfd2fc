import type { Attrs, Expr, ExprBuilder, InferCall, Operator, TensorType } from '@tenon/plugin';
import { rankBetween, tensorOf } from '../common/errors.ts';
import { allocate, forEachIndex, reader, writer } from '../common/host-tensor.ts';
import { arg, sample } from '../common/samples.ts';
import { dimsAttr, dimsOf } from '../shape/attributes.ts';
import { checkWindow, concreteWindow, reach, windowOf } from './window.ts';

const product = (list: readonly number[]): number => list.reduce((n, d) => n * d, 1);

/** How many blocks there are along each axis. */
function blockCounts(exprs: ExprBuilder, attrs: Attrs, image: readonly Expr[], block: readonly Expr[]): Expr[] {
  const window = windowOf(exprs, attrs, image.length);
  return image.map((size, i) => {
    const room = exprs.sub(exprs.add(exprs.add(size, window.begin[i]!), window.end[i]!), reach(exprs, block[i]!, window.dilations[i]!));
    return exprs.add(exprs.floordiv(room, window.strides[i]!), 1);
  });
}

function resultType(call: InferCall): TensorType {
  const { exprs, attrs } = call;
  const { dtype } = tensorOf(call, 0, 'float');
  const x = rankBetween(call, 0, 3);
  const image = dimsAttr(call, 'image_shape');
  const block = dimsAttr(call, 'block_shape', image.length);
  checkWindow(call, image.length);
  const taps = exprs.product(block);
  if (exprs.prove(exprs.ne(exprs.mod(x[1]!, taps), 0)) === 'yes') call.fail('shape', 'axis 1 must be a multiple of the elements of a block');
  const blocks = exprs.product(blockCounts(exprs, attrs, image, block));
  if (exprs.prove(exprs.ne(blocks, x[2]!)) === 'yes') call.fail('shape', 'axis 2 must be the number of blocks in the image');
  return { kind: 'tensor', dtype, shape: [x[0]!, exprs.floordiv(x[1]!, taps), ...image], annotations: {} };
}

export const col2im: Operator = {
  name: 'nn.col2im',
  doc:
    'Puts columns of blocks together to images, adding where blocks overlap: x [N, C · Π block, L] gives [N, C, image…]. Block '
    + '`l` (row-major over the positions that nn.conv would visit with these strides, dilations and pads) adds '
    + '`x[n, c · Π block + k, l]` to image position `l · stride + k · dilation − begin`. `image_shape` and `block_shape` '
    + '(dims) are required; columns that x lacks count as 0. Source: ONNX Col2Im-18.',
  signature: {
    params: ['x'], attrs: { image_shape: null, block_shape: null, strides: null, dilations: null, pads: null }, results: ['out'],
  },
  facets: {
    infer: (call) => [resultType(call)],
    reference({ args, attrs, results }) {
      const x = args[0]!;
      const out = allocate(results[0]!.dtype, results[0]!.shape);
      const [read, write] = [reader(x), writer(out)];
      const block = attrs['block_shape'] as readonly number[];
      const image = out.shape.slice(2);
      const window = concreteWindow(attrs, block.length);
      const counts = image.map((size, i) =>
        Math.floor((size + window.begin[i]! + window.end[i]! - (block[i]! - 1) * window.dilations[i]! - 1) / window.strides[i]!) + 1);
      const sums = new Float64Array(out.data.length);
      const area = product(image);
      const taps = product(block);
      const columns = product(counts);
      forEachIndex([out.shape[0]!, out.shape[1]!], ([n, c], plane) => {
        forEachIndex(block, (k, tap) => {
          forEachIndex(counts, (l, column) => {
            let at = 0;
            for (let i = 0; i < block.length; i++) {
              const p = l[i]! * window.strides[i]! + k[i]! * window.dilations[i]! - window.begin[i]!;
              if (p < 0 || p >= image[i]!) return;
              at = at * image[i]! + p;
            }
            if (column < x.shape[2]!) sums[plane * area + at]! += read(((n! * out.shape[1]! + c!) * taps + tap) * columns + column);
          });
        });
      });
      sums.forEach((sum, p) => write(p, sum));
      return [out];
    },
    define({ args, attrs, results }, b) {
      const { exprs } = b;
      const x = args[0]!;
      const out = results[0]!;
      const block = dimsOf(exprs, attrs['block_shape']!);
      const image = dimsOf(exprs, attrs['image_shape']!);
      const window = windowOf(exprs, attrs, block.length);
      const counts = blockCounts(exprs, attrs, image, block);
      // Sizes that only the call decides might not fit together.
      const fits = exprs.prove(exprs.eq(exprs.product(counts), x.shape[2]!)) === 'yes';
      const zero = exprs.constant(0, out.dtype);
      b.reduce(out, block, zero, (acc, [n, c, ...p], k) => {
        let valid = exprs.constant(true, 'bool');
        let tap = exprs.int(0);
        let column = exprs.int(0);
        p.forEach((position, i) => {
          const q = exprs.sub(exprs.add(position, window.begin[i]!), exprs.mul(k[i]!, window.dilations[i]!));
          const l = exprs.floordiv(q, window.strides[i]!);
          valid = exprs.and(valid, exprs.eq(exprs.mod(q, window.strides[i]!), 0));
          valid = exprs.and(exprs.and(valid, exprs.ge(l, 0)), exprs.lt(l, counts[i]!));
          tap = exprs.add(exprs.mul(tap, block[i]!), k[i]!);
          column = exprs.add(exprs.mul(column, counts[i]!), l);
        });
        if (!fits) valid = exprs.and(valid, exprs.lt(column, x.shape[2]!));
        const row = exprs.add(exprs.mul(c!, exprs.product(block)), tap);
        return exprs.add(acc, exprs.select(valid, b.load(x, [n!, row, column]), zero));
      });
    },
    cost: (call) => ({ flops: call.exprs.product(call.tensor(0).shape) }),
    samples: () => [
      sample([arg([1, 5, 5])], { image_shape: [5, 5], block_shape: [1, 5] }),
      sample([arg([2, 12, 12])], { image_shape: [5, 4], block_shape: [2, 2] }),
      sample([arg([1, 8, 9])], { image_shape: [5, 6], block_shape: [2, 2], strides: [2, 3], pads: [1, 1, 0, 1] }),
      sample([arg([1, 6, 4])], { image_shape: [6, 5], block_shape: [3, 2], dilations: [2, 1], pads: [0, 0, 0, 0], strides: [2, 1] }),
      sample([arg([1, 8, 8])], { image_shape: [3, 3, 3], block_shape: [2, 2, 2] }),
      sample([arg([0, 4, 4])], { image_shape: [3, 3], block_shape: [2, 2] }),
    ],
  },
};
