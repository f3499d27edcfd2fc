/** The machine, simulated: replace it by calls of your driver. */
import { bandwidth, launch, peak, side } from './device.ts';
import type { Instruction } from './program.ts';

/** Runs one instruction on the memory of its operands; gives the nanoseconds that the machine takes for it. */
export function execute({ opcode, k, n }: Instruction, a: Float32Array, b: Float32Array, out: Float32Array): number {
  const bytes = a.byteLength + out.byteLength + (opcode === 'relu' ? 0 : b.byteLength);
  let flops = out.length;
  if (opcode === 'relu') {
    out.set(a);
  } else {
    out.fill(0);
    for (let row = 0; row + side <= k; row += side) {
      for (let column = 0; column + side <= n; column += side) multiplyBlock(a, b, out, k, n, row, column);
    }
    flops = 2 * out.length * k;
  }
  if (opcode !== 'matmul') out.forEach((value, i) => void (out[i] = Math.max(value, 0)));
  return (Math.max(flops / peak.f32, bytes / bandwidth) + launch.kernel) * 1e9;
}

/** All rows of `a` stream past one block of weights. */
function multiplyBlock(a: Float32Array, b: Float32Array, out: Float32Array, k: number, n: number, row: number, column: number): void {
  for (let at = 0; at < out.length / n; at++) {
    for (let j = column; j < column + side; j++) {
      let sum = out[at * n + j]!;
      for (let i = row; i < row + side; i++) sum += a[at * k + i]! * b[i * n + j]!;
      out[at * n + j] = sum;
    }
  }
}
