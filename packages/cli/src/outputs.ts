import { join } from 'node:path';
import type { HostTensor, Outputs } from 'tenon';
import { writeFileAtomically, writeTensor, type TypedArray } from 'tenon/tools';
import { halfValue } from './fill.ts';
import { writeNpy } from './npy.ts';

/** A file name for each output: what file systems do not take becomes `_`. */
export function fileNames(names: readonly string[], extension: string): ReadonlyMap<string, string> {
  const taken = new Set<string>();
  return new Map(names.map((name) => {
    const base = name.replaceAll(/[^A-Za-z0-9_.-]/g, '_').replace(/^\.+/, '_').slice(0, 100) || 'output';
    let unique = base;
    for (let n = 2; taken.has(unique.toLowerCase()); n++) unique = `${base}_${n}`;
    taken.add(unique.toLowerCase());
    return [name, `${unique}.${extension}`];
  }));
}

/** Writes every output to a file of its own; gives their paths by output. */
export async function writeOutputs(outputs: Outputs, folder: string, format: 'npy' | 'pb'): Promise<{ readonly [name: string]: string }> {
  const written = Object.create(null) as { [name: string]: string };
  for (const [name, file] of fileNames(Object.keys(outputs), format)) {
    const tensor = outputs[name]!;
    const bytes = format === 'npy' ? writeNpy(tensor) : writeTensor(tensor, name);
    const path = join(folder, file);
    await writeFileAtomically(path, async (sink) => sink.write(0, bytes));
    written[name] = path;
  }
  return written;
}

export interface TensorSummary {
  readonly dtype: string;
  readonly shape: readonly number[];
  /** null for tensors without elements, and for contents that are no numbers. */
  readonly min: number | null;
  readonly max: number | null;
  readonly mean: number | null;
  /** Elements that are NaN or infinite. */
  readonly notFinite: number;
  /** The first few elements. */
  readonly first: readonly number[];
}

/** Minimum, maximum and mean of the finite elements. */
export function summarize(tensor: HostTensor): TensorSummary {
  const value = valuesOf(tensor);
  const { dtype, shape } = tensor;
  const count = tensor.data.length;
  if (value === null) return { dtype, shape, min: null, max: null, mean: null, notFinite: 0, first: [] };
  let min = Infinity;
  let max = -Infinity;
  let sum = 0;
  let finite = 0;
  for (let i = 0; i < count; i++) {
    const v = value(i);
    if (!Number.isFinite(v)) continue;
    finite++;
    sum += v;
    if (v < min) min = v;
    if (v > max) max = v;
  }
  const any = finite > 0;
  return {
    dtype, shape, min: any ? min : null, max: any ? max : null, mean: any ? sum / finite : null, notFinite: count - finite,
    first: Array.from({ length: Math.min(count, 8) }, (_, i) => value(i)),
  };
}

function valuesOf(tensor: HostTensor): ((i: number) => number) | null {
  const data = tensor.data as TypedArray;
  switch (tensor.dtype) {
    case 'f16': return (i) => halfValue(Number(data[i]));
    case 'bf16': return (i) => new Float32Array(Uint32Array.of(Number(data[i]) << 16).buffer)[0]!;
    case 'f64': case 'f32': case 'i64': case 'i32': case 'i16': case 'i8': case 'u64': case 'u32': case 'u16': case 'u8': case 'bool':
      return (i) => Number(data[i]);
    default: return null;
  }
}
