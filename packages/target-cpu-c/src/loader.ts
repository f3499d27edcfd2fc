export { cpuC } from './runtime/loader.ts';
