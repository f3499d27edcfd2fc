import { tensor, type Tensor } from 'tenon';
import type { Picture } from './png.ts';

/** The height that PP-OCR's recognition was trained for; the width is free. */
const modelHeight = 48;

/** A picture of a line of text as PP-OCR takes it: f32[1, 3, 48, W], blue before green before red, in −1 … 1. */
export function preprocess({ width, height, rgb }: Picture): Tensor {
  const scaledWidth = Math.ceil((modelHeight * width) / height);
  const out = new Float32Array(3 * modelHeight * scaledWidth);
  for (let y = 0; y < modelHeight; y++) {
    const [y0, y1, fy] = neighbours(y, height / modelHeight, height);
    for (let x = 0; x < scaledWidth; x++) {
      const [x0, x1, fx] = neighbours(x, width / scaledWidth, width);
      for (let c = 0; c < 3; c++) {
        const at = (row: number, column: number): number => rgb[3 * (row * width + column) + 2 - c]!;
        const upper = at(y0, x0) * (1 - fx) + at(y0, x1) * fx;
        const lower = at(y1, x0) * (1 - fx) + at(y1, x1) * fx;
        const value = upper * (1 - fy) + lower * fy;
        out[(c * modelHeight + y) * scaledWidth + x] = (value / 255 - 0.5) / 0.5;
      }
    }
  }
  return tensor(out, [1, 3, modelHeight, scaledWidth]);
}

/** Bilinear interpolation between centres of pixels: the two neighbours, and the weight of the second. */
function neighbours(i: number, scale: number, size: number): readonly [number, number, number] {
  const position = Math.min(size - 1, Math.max(0, (i + 0.5) * scale - 0.5));
  const first = Math.floor(position);
  return [first, Math.min(size - 1, first + 1), position - first];
}

/**
 * Greedy CTC decoding of f32[1, T, C]: the likeliest class of every step; repetitions count once, and class 0 separates
 * equal letters. Spaces at the ends are margins of the picture. The confidence is the mean probability of the steps that
 * gave a character.
 */
export function decodeText(probabilities: Tensor, characters: readonly string[]): { readonly text: string; readonly confidence: number } {
  const [, steps = 0, classes = 0] = probabilities.shape;
  if (classes !== characters.length) throw new Error(`the model knows ${classes} classes, its dictionary ${characters.length}`);
  const values = probabilities.data as Float32Array;
  let text = '';
  let sum = 0;
  let count = 0;
  let last = 0;
  for (let t = 0; t < steps; t++) {
    let best = 0;
    for (let c = 1; c < classes; c++) if (values[t * classes + c]! > values[t * classes + best]!) best = c;
    if (best !== 0 && best !== last) {
      text += characters[best];
      sum += values[t * classes + best]!;
      count++;
    }
    last = best;
  }
  return { text: text.trim(), confidence: count === 0 ? 0 : sum / count };
}
