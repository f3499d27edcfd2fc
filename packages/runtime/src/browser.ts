export { browserHost } from './browser/host.ts';
export { urlSource } from './browser/url-source.ts';
