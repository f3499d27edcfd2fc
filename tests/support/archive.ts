import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, normalize } from 'node:path';
import { gunzipSync } from 'node:zlib';

const block = 512;

/**
 * Unpacks a `.tar.gz` into a folder below `cache`, named by the archive's name, size and time stamp, and returns the
 * folder. An archive that was unpacked before is not read again.
 */
export function unpack(archive: string, cache: string): string {
  const { size, mtimeMs } = statSync(archive);
  const folder = join(cache, `${basename(archive).replace(/\.(tar\.gz|tgz)$/, '')}-${size}-${Math.floor(mtimeMs)}`);
  if (existsSync(folder)) return folder;
  const partial = `${folder}.${process.pid}`;
  rmSync(partial, { recursive: true, force: true });
  extractTar(gunzipSync(readFileSync(archive)), partial);
  renameSync(partial, folder);
  return folder;
}

/** Writes the regular files of a tar archive (ustar, GNU or pax long names) below a folder. */
export function extractTar(bytes: Uint8Array, folder: string): void {
  const text = new TextDecoder();
  const field = (at: number, length: number): string => text.decode(bytes.subarray(at, at + length)).replace(/\0.*$/s, '');
  mkdirSync(folder, { recursive: true });
  let longName: string | null = null;
  for (let at = 0; at + block <= bytes.length && bytes[at] !== 0;) {
    const size = Number.parseInt(field(at + 124, 12).trim() || '0', 8);
    const type = field(at + 156, 1);
    const content = bytes.subarray(at + block, at + block + size);
    const prefix = field(at + 257, 5) === 'ustar' ? field(at + 345, 155) : '';
    const name = longName ?? (prefix === '' ? field(at, 100) : `${prefix}/${field(at, 100)}`);
    longName = null;
    if (type === 'L') longName = text.decode(content).replace(/\0.*$/s, '');
    else if (type === 'x') longName = /^\d+ path=(.*)$/m.exec(text.decode(content))?.[1] ?? null;
    else if (type === '' || type === '0') {
      const path = normalize(name);
      if (path.startsWith('..') || path.startsWith('/')) throw new Error(`the archive has the member ${name}, outside its folder`);
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), content);
    }
    at += block + Math.ceil(size / block) * block;
  }
}
