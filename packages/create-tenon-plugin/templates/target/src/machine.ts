/** The machine, simulated: replace it by calls of your driver. */
import { bandwidth, launch, peak } from './device.ts';
import type { Instruction } from './program.ts';

/** Runs one instruction on the memory of its operands; gives the nanoseconds that the machine takes for it. */
export function execute({ opcode, k, n }: Instruction, a: Float32Array, b: Float32Array, out: Float32Array): number {
  if (opcode === 'relu') {
    out.forEach((_, i) => void (out[i] = Math.max(a[i]!, 0)));
    return ((a.byteLength + out.byteLength) / bandwidth + launch.kernel) * 1e9;
  }
  const rows = out.length / n;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < n; column++) {
      let sum = 0;
      for (let i = 0; i < k; i++) sum += a[row * k + i]! * b[i * n + column]!;
      out[row * n + column] = opcode === 'matmul-relu' ? Math.max(sum, 0) : sum;
    }
  }
  return (Math.max((2 * rows * k * n) / peak.f32, (a.byteLength + b.byteLength + out.byteLength) / bandwidth) + launch.kernel) * 1e9;
}
