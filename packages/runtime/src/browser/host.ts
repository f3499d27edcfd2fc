import type { Host } from '@tenon/plugin';
import { resolveUrl, urlSource } from './url-source.ts';

/**
 * URLs and the clock, for pages and workers. Relative URLs are the page's. There is no cache: what is fetched is kept
 * by the browser's own.
 */
export function browserHost(): Host {
  const absolute = (uri: string): string => {
    const base = (globalThis as { readonly location?: { readonly href: string } }).location?.href;
    return base === undefined ? uri : new URL(uri, base).href;
  };
  return {
    name: 'browser',
    now: () => performance.now(),
    open: (uri) => urlSource(absolute(uri)),
    resolve: (base, relative) => resolveUrl(absolute(base), relative),
    cache: null,
  };
}
