import { TenonError } from '@tenon/plugin';

/**
 * The levels that `march: 'portable'` compiles for, the best first. x86-64: the psABI's levels with AVX-512, with AVX2 and FMA, and
 * with SSE4.2, which every processor of the last fifteen years has. AArch64: what every processor has.
 */
export function portableLevels(arch: string = process.arch): readonly string[] {
  if (arch === 'x64') return ['x86-64-v4', 'x86-64-v3', 'x86-64-v2'];
  if (arch === 'arm64') return ['armv8-a'];
  throw new TenonError({ code: 'cpu-c/unknown-march', message: `there are no levels of ${arch} processors for \`march: "portable"\``, hint: 'use `march: "native"` or a value that the compiler lists' });
}
