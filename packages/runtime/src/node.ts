export { nodeHost, type NodeHost, type NodeHostOptions } from './node/host.ts';
export { defaultCacheFolder, type DiskCache, type DiskCacheOptions, openDiskCache } from './node/disk-cache.ts';
export { fileSource } from './node/file-source.ts';
