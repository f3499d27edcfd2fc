import { expect, it } from 'vitest';
import { library } from '../src/library.ts';

it('defines the symbols that it lists', () => {
  for (const { symbols, text } of library.provides) {
    for (const symbol of symbols) expect(text).toContain(`int32_t ${symbol}(`);
  }
});

it('has entries with a name, a text and a factor of their own', () => {
  const ids = library.entries.map((entry) => entry.id);
  expect(new Set(ids).size).toBe(ids.length);
  for (const { doc, benefit } of library.entries) expect([doc !== '', (benefit ?? 1) > 0]).toEqual([true, true]);
});
