import { TenonError } from '@tenon/plugin';

/** The part of Web Crypto used here; named by its shape because this package is built without the DOM's types. */
interface Digests {
  readonly subtle?: { digest(algorithm: string, data: Uint8Array): Promise<ArrayBuffer> };
}

/** SHA-256 of some bytes. Needs Web Crypto: Node, workers, and pages of a secure origin. */
export async function sha256(bytes: Uint8Array): Promise<Uint8Array> {
  const subtle = (globalThis as { readonly crypto?: Digests }).crypto?.subtle;
  if (!subtle) {
    throw new TenonError({
      code: 'artifact/no-crypto',
      message: 'SHA-256 needs Web Crypto, which is not available here',
      hint: 'serve the page over https or from localhost',
    });
  }
  return new Uint8Array(await subtle.digest('SHA-256', bytes));
}

export const toHex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
