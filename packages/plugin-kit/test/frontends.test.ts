import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { KitError, runKit, type KitOptions, type Report } from '../src/index.ts';

let folder: string | null = null;
afterEach(() => {
  if (folder !== null) rmSync(folder, { recursive: true, force: true });
});

/** A frontend of models that say how long a vector is: `line 7`. Plain JavaScript without `node_modules`. */
const frontend = (parts: { readonly refuse?: string; readonly read?: string; readonly before?: string } = {}): string => `
import { definePlugin } from '@tenon/plugin';
const decode = (bytes) => new TextDecoder().decode(bytes);
export default definePlugin({ name: 'tenon-frontend-line', namespace: 'line' }, () => ({
  frontends: [{
    name: 'line', extensions: ['.line'], detect: (head) => decode(head.slice(0, 5)) === 'line ',
    async import(source, ctx) {
      const text = decode(${parts.read ?? 'await source.read(0, source.bytes)'});
      ${parts.before ?? ''}
      const size = /^line ([1-9]\\d{0,3})$/.exec(text)?.[1];
      if (size === undefined) ${parts.refuse ?? `ctx.fail({ code: 'line/syntax', message: 'not a line' })`};
      const module = ctx.module();
      const main = module.graph('main', [{ name: 'x', type: ctx.types.tensor('f32', [Number(size)]) }]);
      main.finish([main.call('nn.relu', main.params)], ['y']);
      return module.finish();
    },
  }],
}));
`;

function examine(source: string, settings: object = { samples: ['seven.line'] }, options: KitOptions = {}): Promise<Report> {
  folder = mkdtempSync(join(tmpdir(), 'tenon-kit-frontend-'));
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'tenon-frontend-line', version: '1.0.0', type: 'module', keywords: ['tenon-plugin'], exports: './index.js', dependencies: { '@tenon/plugin': '*' }, tenon: settings }));
  writeFileSync(join(folder, 'index.js'), source);
  writeFileSync(join(folder, 'seven.line'), 'line 7');
  return runKit(folder, options);
}
const codes = (report: Report): readonly string[] => [...new Set(report.failures.map((f) => f.code))];

describe('a plugin with a frontend alone', () => {
  it('is right where it reads its samples and refuses the rest with a code', async () => {
    const report = await examine(frontend());
    expect(report.failures).toEqual([]);
    expect(report.tiers.filter((t) => t.skipped === null).map((t) => t.tier)).toEqual(['package', 'contract']);
    expect(report.tiers.find((t) => t.tier === 'rules')?.skipped).toBe('the plugin has no target and no rules');
  });
  it('is told where it names no samples', async () => {
    const report = await examine(frontend(), {});
    expect([report.ok, report.notes.map((n) => n.code)]).toEqual([true, expect.arrayContaining(['contract/samples']) as string[]]);
  });
  it.each<[string, string, object?]>([
    ['contract/frontend', frontend({ refuse: `throw new Error('bad')` })],
    ['contract/frontend', frontend({ refuse: 'return ctx.module().finish()' })],
    ['contract/not-deterministic', frontend({ read: 'source.readSync(0, source.bytes)' })],
    ['contract/not-deterministic', frontend({ before: `if ((globalThis.reads = (globalThis.reads ?? 0) + 1) > 4) ctx.fail({ code: 'line/tired', message: 'enough' });` })],
    ['contract/sample', frontend({ before: `ctx.fail({ code: 'line/never', message: 'never' });` })],
    ['contract/sample', frontend(), { samples: ['eight.line'] }],
    ['package/settings', frontend(), { samples: [7] }],
  ])('%s', async (code, source, settings) => {
    expect(codes(await examine(source, settings))).toContain(code);
  });
  it('is told where it does not come to an end', async () => {
    const report = await examine(frontend({ before: `if (text === 'line 7') for (;;);` }), undefined, { patience: 3 });
    expect(report.failures).toMatchObject([{ tier: 'contract', code: 'kit/hangs', message: expect.stringContaining('it did not come to an end within 3 s') as string }]);
  });
});

it('rejects where there is nothing to look at', async () => {
  await expect(runKit('/nowhere/at/all')).rejects.toBeInstanceOf(KitError);
});
