import { hash64 } from '@tenon/artifact';
import type { ByteSource } from '@tenon/plugin';
import { TenonError } from '@tenon/plugin';
import { bytesSource, checkRange } from '../source.ts';

/**
 * A URL read by ranges; where its server knows none, it is fetched whole. The id is the server's validator (ETag, else
 * Last-Modified) with the size. Throws `host/…` diagnostics.
 */
export async function urlSource(url: string, fetcher: typeof fetch = fetch): Promise<ByteSource> {
  const request = async (range: string): Promise<Response> => {
    let response: Response;
    try {
      response = await fetcher(url, { headers: { Range: range } });
    } catch (cause) {
      throw new TenonError({ code: 'host/unreachable', message: `${url} cannot be fetched: ${(cause as Error).message}`, hint: 'see whether the server runs and allows this page (CORS)' }, { cause });
    }
    if (response.status === 404 || response.status === 410) throw new TenonError({ code: 'host/not-found', message: `there is no ${url} (status ${response.status})` });
    // 416 is the answer to a range of an empty file.
    if (!response.ok && response.status !== 416) throw new TenonError({ code: 'host/http', message: `${url} cannot be fetched: status ${response.status} ${response.statusText}` });
    return response;
  };

  const first = await request('bytes=0-0');
  const total = /^bytes (?:\d+-\d+|\*)\/(\d+)$/.exec(first.headers.get('content-range') ?? '')?.[1];
  const validator = first.headers.get('etag') ?? first.headers.get('last-modified');
  if (first.status === 200 || total === undefined) {
    const whole = first.status === 200 ? first : await fetcher(url);
    return bytesSource(url, new Uint8Array(await whole.arrayBuffer()));
  }
  await first.arrayBuffer();
  const bytes = Number(total);

  const read = async (offset: number, length: number): Promise<Uint8Array> => {
    checkRange(url, bytes, offset, length);
    if (length === 0) return new Uint8Array(0);
    const response = await request(`bytes=${offset}-${offset + length - 1}`);
    const part = new Uint8Array(await response.arrayBuffer());
    const changed = validator !== null && (response.headers.get('etag') ?? response.headers.get('last-modified')) !== validator;
    if (response.status !== 206 || part.length !== length || changed) {
      throw new TenonError({ code: 'host/changed', message: `${url} changed while it was being read, or its server does not keep to ranges` });
    }
    return part;
  };

  const id = validator === null ? hash64(await read(0, Math.min(bytes, 64 << 10))).toString(16) : hash64(new TextEncoder().encode(validator)).toString(16);
  return { uri: url, bytes, id: `${bytes}-${id}`, read, close() {} };
}

/** A reference from inside a model, within the folder of the model's URL. */
export function resolveUrl(base: string, relative: string): string {
  const folder = new URL('.', base);
  const target = relative === '' || /[\\\0]/.test(relative) ? null : URL.parse(relative, folder.href);
  const within = target && target.origin === folder.origin && target.pathname.startsWith(folder.pathname) && target.pathname.length > folder.pathname.length;
  // Encoded separators could lead out again on the server.
  if (!within || /%2f|%5c|%00/i.test(target.pathname.slice(folder.pathname.length)) || /^[a-z][a-z0-9+.-]*:|^\//i.test(relative)) {
    throw new TenonError({ code: 'host/outside-folder', message: `'${relative}' leads out of the folder of ${base}` });
  }
  return target.href;
}
