export { compile, compileModule, importModel, version, type Compilation, type CompileOptions } from './compile.ts';
export { planArena, type Arena, type Request } from './memory/arena.ts';
export { planRegion } from './memory/plan-region.ts';
export { costKey, typicalDims } from './partition/estimate.ts';
export { cutRegions } from './partition/regions.ts';
export type { DispatchRecord } from './dispatch/report.ts';
export type { LayoutRecord, ScheduleRecord } from '@tenon/plugin';
export type { Earlier } from './link/link.ts';
