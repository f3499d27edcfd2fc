import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

it('sessions, passes, hooks, planning, linking and evaluation work where no code may be made from strings', () => {
  const script = fileURLToPath(new URL('./support/without-eval.ts', import.meta.url));
  const output = execFileSync(process.execPath, ['--disallow-code-generation-from-strings', '--conditions=tenon-source', script], { encoding: 'utf8' });
  const done = JSON.parse(output) as { readonly [name: string]: unknown };
  expect(done['forbidden']).toBe(true);
  expect(done['passes']).toBeGreaterThan(8);
  expect(done['hooks']).toBe(done['passes']);
  expect(done['bytes']).toBeGreaterThan(1000);
  expect(done['results']).toBeGreaterThan(0);
});
