import { describe, expect, it } from 'vitest';
import { randomExpr, randomModule } from '../../test/random-module.ts';
import { createExprs } from '../expr/index.ts';
import { diffModules } from '../structure/index.ts';
import { parseExpr, parseModule, printExpr, printModule } from './index.ts';

describe('random round trips', () => {
  it('10 000 modules print, parse back structurally equal and print the same', () => {
    let characters = 0;
    for (let seed = 0; seed < 10_000; seed++) {
      const module = randomModule(seed, createExprs());
      const text = printModule(module);
      let again;
      try {
        again = parseModule(text, createExprs());
      } catch (error) {
        throw new Error(`seed ${seed}: ${(error as Error).message}\n${text}`, { cause: error });
      }
      const difference = diffModules(module, again);
      if (difference !== null || printModule(again) !== text) expect.fail(`seed ${seed}: ${difference}\n${text}`);
      characters += text.length;
    }
    // The modules are not trivial.
    expect(characters).toBeGreaterThan(10_000 * 500);
  }, 60_000);

  it('20 000 expressions give the identical node back', () => {
    const exprs = createExprs();
    for (let seed = 0; seed < 20_000; seed++) {
      const e = randomExpr(seed, exprs);
      const text = printExpr(e);
      if (parseExpr(text, exprs) !== e) expect.fail(`seed ${seed}: ${text} came back as ${printExpr(parseExpr(text, exprs))}`);
    }
  }, 60_000);
});
