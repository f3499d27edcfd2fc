import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { kinds, runCreate, type Kind } from '../src/index.ts';

let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'create-tenon-plugin-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Runs the command; `answers` are those of somebody at a terminal. */
async function create(args: readonly string[], answers: readonly string[] | null = null): Promise<{ code: number; printed: string; questions: number }> {
  let printed = '';
  const left = [...(answers ?? [])];
  const print = (line: string): void => void (printed += `${line}\n`);
  const code = await runCreate(args, { folder, ask: answers === null ? null : () => Promise.resolve(left.shift() ?? ''), print, complain: print });
  return { code, printed, questions: (answers?.length ?? 0) - left.length };
}
const filesOf = (name: string): readonly string[] =>
  readdirSync(join(folder, name), { recursive: true, withFileTypes: true }).filter((f) => f.isFile()).map((f) => join(f.parentPath, f.name).slice(join(folder, name).length + 1)).sort();
const text = (...path: readonly string[]): string => readFileSync(join(folder, ...path), 'utf8');

describe('a repository', () => {
  it.each(Object.keys(kinds) as Kind[])('of the kind %s has everything, under its own name', async (kind) => {
    const name = `@vendor/tenon-${kind}-my.npu`;
    expect((await create([name])).code).toBe(0);
    const files = filesOf(`tenon-${kind}-my.npu`);
    expect(files).toEqual(expect.arrayContaining(['.github/workflows/test.yml', '.gitignore', 'LICENSE', 'README.md', 'package.json', 'src/index.ts', 'test/kit.test.ts', 'tsconfig.build.json', 'tsconfig.json']));
    for (const file of files) expect(`${file}: ${text(`tenon-${kind}-my.npu`, file)}`).not.toMatch(/acme|"workspace:|tenon-repository/i);
    const json = JSON.parse(text(`tenon-${kind}-my.npu`, 'package.json')) as { name: string; license: string; keywords: string[]; dependencies: { [name: string]: string } };
    expect(json).toMatchObject({ name, license: 'Apache-2.0' });
    expect(json.keywords).toContain('tenon-plugin');
    expect(json.dependencies).toEqual({ '@tenon/plugin': expect.stringMatching(/^\^\d+\.\d+\.\d+/) as string });
    expect(text(`tenon-${kind}-my.npu`, 'src/index.ts')).toContain(`namespace: 'my-npu'`);
  });
  it('has the licence that is wanted', async () => {
    await create(['tenon-target-a', '--license', 'mit']);
    expect(text('tenon-target-a', 'LICENSE')).toMatch(/^MIT License\n\nCopyright \(c\) \d{4} the authors of tenon-target-a\n/);
    await create(['tenon-target-b', '--license', 'unlicensed']);
    expect(existsSync(join(folder, 'tenon-target-b/LICENSE'))).toBe(false);
    expect(JSON.parse(text('tenon-target-b', 'package.json'))).toMatchObject({ license: 'UNLICENSED' });
    await create(['tenon-target-c']);
    expect(text('tenon-target-c', 'LICENSE')).toContain('Apache License');
  });
  it('goes into an empty folder, or one with nothing but git in it', async () => {
    expect((await create(['tenon-target-a', '--folder', 'elsewhere'])).code).toBe(0);
    expect(filesOf('elsewhere')).toContain('src/rules.ts');
  });
});

describe('what is missing', () => {
  it('is asked for on a terminal', async () => {
    expect(await create([], ['something', 'frontend'])).toMatchObject({ code: 0, questions: 2 });
    expect(filesOf('something')).toContain('src/parse.ts');
  });
  it('is not asked for where the name says it', async () => {
    expect(await create(['tenon-frontend-x'], ['target'])).toMatchObject({ code: 0, questions: 0 });
  });
  it('is a target where nobody wants to be asked', async () => {
    expect(await create(['something', '--yes'], ['frontend'])).toMatchObject({ code: 0, questions: 0 });
    expect(filesOf('something')).toContain('src/rules.ts');
  });
});

describe('what is refused', () => {
  it.each<[string, readonly string[]]>([
    ['create/no-name', []],
    ['create/arguments', ['a', 'b']],
    ['create/arguments', ['a', '--colour', 'red']],
    ['create/unknown-kind', ['something']],
    ['create/unknown-kind', ['something', '--kind', 'spaceship']],
    ['create/unknown-license', ['tenon-target-x', '--license', 'none']],
    ['create/invalid-name', ['Tenon-Target-X', '--yes']],
    ['create/invalid-name', ['../tenon-target-x', '--yes']],
    ['create/invalid-name', ['node_modules', '--yes']],
    ['create/folder-not-empty', ['tenon-target-full']],
  ])('%s', async (code, args) => {
    await create(['tenon-target-full']);
    const before = filesOf('.');
    const result = await create(args);
    expect(result.code).toBe(2);
    expect(result.printed).toContain(`[${code}]\n  `);
    expect(filesOf('.')).toEqual(before);
  });
  it('leaves what is there as it is', async () => {
    writeFileSync(join(folder, 'tenon-target-x'), 'a file');
    expect(await create(['tenon-target-x'])).toMatchObject({ code: 2 });
    expect(text('tenon-target-x')).toBe('a file');
  });
});

it('the tutorial ends with the template', () => {
  const read = (path: string): string => readFileSync(fileURLToPath(new URL(path, import.meta.url)), 'utf8');
  const blocks = [...read('../../../docs/write-a-target.md').matchAll(/^```ts (\S+)\n([\s\S]*?)^```$/gm)].filter(([, file]) => /^(src|test)\//.test(file!));
  const last = new Map(blocks.map(([, file, code]) => [file!, code!]));
  expect(last.size).toBe(8);
  for (const [file, code] of last) {
    expect(code).toBe(read(`../templates/target/${file}`).replaceAll('tenon-target-acme', 'tenon-target-x1').replaceAll('acme', 'x1'));
  }
});
