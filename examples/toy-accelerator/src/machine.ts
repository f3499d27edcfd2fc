/** What the machine does with an instruction, and how long it takes for it. */
import type { Instruction } from './blob.ts';
import { arrayRate, bandwidth, launch, side, vectorRate } from './device.ts';

/** Memory of a slot. */
export type Slot = Uint8Array;
type Numbers = Float32Array | Int32Array | Int8Array;

const floats = (s: Slot): Float32Array => new Float32Array(s.buffer, s.byteOffset, s.byteLength / 4);
const integers = (s: Slot): Int32Array => new Int32Array(s.buffer, s.byteOffset, s.byteLength / 4);
const bytes = (s: Slot): Int8Array => new Int8Array(s.buffer, s.byteOffset, s.byteLength);

/** Runs one instruction; gives the nanoseconds that the machine takes for it. */
export function execute(instruction: Instruction, slots: readonly Slot[]): number {
  const { opcode, mode, relu, k, n, weight } = instruction;
  const a = slots[instruction.a]!;
  const out = slots[instruction.out]!;
  const bias = instruction.bias === null ? null : slots[instruction.bias]!;
  const words = mode === 'f32' ? floats : integers;
  const sums = words(out);
  const rows = sums.length / n;
  let seconds: number;
  if (opcode === 'dense') {
    const b = slots[instruction.b!]!;
    const left = mode === 'f32' ? floats(a) : bytes(a);
    const right = mode === 'f32' ? floats(b) : weight === 1 ? bytes(b) : integers(b);
    multiply(left, right, sums, rows, k, n, mode === 'f32');
    seconds = Math.max((2 * rows * k * n) / arrayRate[mode], (a.length + b.length + out.length + (bias?.length ?? 0)) / bandwidth);
  } else {
    if (opcode === 'widen') sums.set(bytes(a));
    else sums.set(words(a));
    seconds = Math.max(sums.length / vectorRate, (a.length + out.length + (bias?.length ?? 0)) / bandwidth);
  }
  if (bias !== null) addBias(sums, words(bias), n);
  if (relu) for (let i = 0; i < sums.length; i++) sums[i] = Math.max(sums[i]!, 0);
  return (seconds + launch.kernel) * 1e9;
}

/** Tile by tile: sizes are multiples of `side`. f32 sums are rounded once, 32-bit sums wrap. */
function multiply(a: Numbers, b: Numbers, out: Float32Array | Int32Array, rows: number, k: number, n: number, real: boolean): void {
  for (let tileRow = 0; tileRow + side <= rows; tileRow += side) {
    for (let tileColumn = 0; tileColumn + side <= n; tileColumn += side) {
      for (let row = tileRow; row < tileRow + side; row++) {
        for (let column = tileColumn; column < tileColumn + side; column++) {
          let sum = 0;
          if (real) for (let i = 0; i < k; i++) sum += a[row * k + i]! * b[i * n + column]!;
          else for (let i = 0; i < k; i++) sum = (sum + Math.imul(a[row * k + i]!, b[i * n + column]!)) | 0;
          out[row * n + column] = sum;
        }
      }
    }
  }
}

/** A row for all rows, or a matrix. */
function addBias(sums: Float32Array | Int32Array, bias: Float32Array | Int32Array, n: number): void {
  const row = bias.length === n;
  for (let i = 0; i < sums.length; i++) sums[i] = sums[i]! + bias[row ? i % n : i]!;
}
