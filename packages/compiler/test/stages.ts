import type { TensorFunction } from '@tenon/plugin';
import { computeForm, stagesOf } from '@tenon/schedule';

/** The forms of a function's stages, in order. */
export function stagesText(fn: TensorFunction): string[] {
  return stagesOf(fn)!.stages.map((s) => computeForm(s.block)?.kind ?? 'opaque');
}

/** The names of a function's arguments, and of all its temporaries. */
export function buffersOf(fn: TensorFunction): string[] {
  return [...fn.inputs, ...fn.outputs, ...(stagesOf(fn)?.temporaries ?? [])].map((b) => b.name);
}
