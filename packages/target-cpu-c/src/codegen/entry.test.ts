import fc from 'fast-check';
import { expect, it } from 'vitest';
import { comment, identifier } from './entry.ts';

/** What C sees before it looks for comments: trigraphs replaced, continued lines joined. */
const afterSplicing = (text: string): string => text.replaceAll('??/', '\\').replace(/\\\r?\n/g, '');

it.each(['dense/MatMul', '*/', '**//', '*\\\n/', '*??/\n/', '*\\\r\n/', '/*/', '*'])('%j does not end its comment', (name) => {
  expect(afterSplicing(comment(name)).indexOf('*/', 2)).toBe(comment(name).length - 2);
});

it('no name ends its comment or is more than an identifier', () => {
  const name = fc.string({ unit: fc.constantFrom('*', '/', '\\', '\n', '\r', '?', 'a', ' ') });
  fc.assert(fc.property(name, (text) => {
    expect(afterSplicing(comment(text)).indexOf('*/', 2)).toBe(comment(text).length - 2);
    expect(identifier(text)).toMatch(/^\w+$/);
  }), { numRuns: 2000, seed: 1 });
});
