import { inflateSync } from 'node:zlib';

/** Pixels row by row, three bytes each: red, green, blue. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly rgb: Uint8Array;
}

/** Bytes of a pixel by colour type: grey, RGB, grey with alpha, RGB with alpha. */
const channelsOf: { readonly [colourType: number]: number } = { 0: 1, 2: 3, 4: 2, 6: 4 };

/** Decodes a PNG (https://www.w3.org/TR/png-3/) of 8 bits a channel, not interlaced and without a palette; alpha is left out. */
export function decodePng(file: Uint8Array): Picture {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (view.getBigUint64(0) !== 0x89504e470d0a1a0an) throw new Error('this is no PNG');
  let width = 0;
  let height = 0;
  let channels = 0;
  const data: Uint8Array[] = [];
  for (let at = 8; at < file.length;) {
    const length = view.getUint32(at);
    const type = String.fromCharCode(...file.subarray(at + 4, at + 8));
    if (type === 'IHDR') {
      width = view.getUint32(at + 8);
      height = view.getUint32(at + 12);
      channels = channelsOf[file[at + 17]!] ?? 0;
      if (file[at + 16] !== 8 || channels === 0 || file[at + 20] !== 0) throw new Error('only PNGs of 8 bits a channel, without palette and interlacing');
    }
    if (type === 'IDAT') data.push(file.subarray(at + 8, at + 8 + length));
    at += 12 + length;
  }
  const pixels = unfilter(inflateSync(Buffer.concat(data)), width * channels, height, channels);
  const rgb = new Uint8Array(width * height * 3);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) rgb[3 * i + c] = pixels[i * channels + (channels < 3 ? 0 : c)]!;
  }
  return { width, height, rgb };
}

/** Each row begins with its filter; bytes are stored as differences from what is left of them, above, or both. */
function unfilter(raw: Uint8Array, rowBytes: number, height: number, channels: number): Uint8Array {
  const out = new Uint8Array(rowBytes * height);
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (rowBytes + 1)]!;
    for (let x = 0; x < rowBytes; x++) {
      const at = y * rowBytes + x;
      const left = x >= channels ? out[at - channels]! : 0;
      const above = y > 0 ? out[at - rowBytes]! : 0;
      const corner = x >= channels && y > 0 ? out[at - rowBytes - channels]! : 0;
      out[at] = raw[y * (rowBytes + 1) + 1 + x]! + predict(filter, left, above, corner);
    }
  }
  return out;
}

function predict(filter: number, left: number, above: number, corner: number): number {
  if (filter === 0) return 0;
  if (filter === 1) return left;
  if (filter === 2) return above;
  if (filter === 3) return (left + above) >> 1;
  const estimate = left + above - corner;
  const [a, b, c] = [Math.abs(estimate - left), Math.abs(estimate - above), Math.abs(estimate - corner)];
  return a <= b && a <= c ? left : b <= c ? above : corner;
}
