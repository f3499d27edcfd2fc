import { describe, expect, it } from 'vitest';
import { decodeFloat, encodeFloat } from './small-floats.ts';

describe.each([['f16', 16], ['bf16', 16], ['f8e4m3fn', 8], ['f8e5m2', 8]] as const)('%s', (dtype, bits) => {
  it('encodes what it decodes', () => {
    for (let code = 0; code < 2 ** bits; code++) {
      const value = decodeFloat(dtype, code);
      if (Number.isNaN(value)) expect(decodeFloat(dtype, encodeFloat(dtype, value))).toBeNaN();
      else if (encodeFloat(dtype, value) !== code) expect.fail(`${code.toString(16)} is ${value}, which encodes as ${encodeFloat(dtype, value).toString(16)}`);
    }
  });
  it('rounds the middle of two neighbours to the even one', () => {
    for (let code = 0; code < 2 ** (bits - 1) - 1; code++) {
      const [low, high] = [decodeFloat(dtype, code), decodeFloat(dtype, code + 1)];
      if (!Number.isFinite(low) || !Number.isFinite(high)) continue;
      const middle = encodeFloat(dtype, (low + high) / 2);
      if (middle !== code + (code % 2)) expect.fail(`between ${low} and ${high}: ${middle}`);
    }
  });
});

it('knows some values', () => {
  expect(encodeFloat('f16', 1)).toBe(0x3c00);
  expect(encodeFloat('f16', 65504)).toBe(0x7bff);
  expect(encodeFloat('f16', 65520)).toBe(0x7c00);
  expect(encodeFloat('f16', -Infinity)).toBe(0xfc00);
  expect(encodeFloat('f16', 2 ** -25)).toBe(0);
  expect(encodeFloat('bf16', 3.140625)).toBe(0x4049);
  expect(decodeFloat('f8e4m3fn', 0x7e)).toBe(448);
  expect(decodeFloat('f8e4m3fn', 0x7f)).toBeNaN();
  expect(decodeFloat('f8e5m2', 0x7c)).toBe(Infinity);
});
