import { createApi } from './api.ts';
import { nodeEnvironment } from './node/environment.ts';

export * from './exports.ts';
export { cpuC, type CpuCOptions } from '@tenon/target-cpu-c';
export { emitC, type EmitCOptions, type EmittedC } from './node/emit-c.ts';
export { findConfig, loadConfig, type ConfigFile } from './node/config-file.ts';

export const { compile, load, buildArtifact } = createApi(nodeEnvironment);
