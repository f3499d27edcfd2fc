export { runCli, type CliStreams } from './cli.ts';
export { exitCodes } from './exit-codes.ts';
export { readNpy, writeNpy } from './npy.ts';
