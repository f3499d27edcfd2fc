import { definePlugin } from '@tenon/plugin';
import { rules } from './rules.ts';
import { schedules } from './schedules/index.ts';
import { cpuCTarget, type CpuCOptions } from './target.ts';
import { transposes } from './transpose.ts';

export type { CpuCOptions } from './target.ts';
export { standaloneFiles, type StandaloneFiles } from './standalone/write.ts';

/** Compiles regions to C for x86-64 and AArch64. Its run half is `@tenon/target-cpu-c/loader`. */
export const cpuC = definePlugin<CpuCOptions>({ name: '@tenon/target-cpu-c', namespace: 'cpu-c' }, (options) => ({
  targets: [cpuCTarget(options)],
  rules,
  schedules,
  intrinsics: transposes,
}));
