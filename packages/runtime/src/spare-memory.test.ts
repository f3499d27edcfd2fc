import { expect, test } from 'vitest';
import { SpareMemory } from './spare-memory.ts';

test('spare memory is taken by its size, the newest first, and is bounded', () => {
  const spare = new SpareMemory(100);
  const [a, b, c] = [new ArrayBuffer(40), new ArrayBuffer(40), new ArrayBuffer(20)];
  for (const memory of [a, b, c]) spare.give(memory);
  expect(spare.take(30)).toBeNull();
  expect(spare.take(40)).toBe(b);
  spare.give(new ArrayBuffer(60)); // a is dropped
  expect(spare.take(40)).toBeNull();
  expect(spare.take(20)).toBe(c);
  spare.clear();
  expect(spare.take(60)).toBeNull();
});
