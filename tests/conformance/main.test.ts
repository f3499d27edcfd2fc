import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeTensor } from '@tenon/frontend-onnx';
import { info, model, node } from '../../packages/frontend-onnx/test/onnx-writer.ts';

const script = fileURLToPath(new URL('./main.ts', import.meta.url));
let folder: string;

const f32 = (...values: number[]) => ({ dtype: 'f32', shape: [values.length], data: Float32Array.from(values) });

function addCase(name: string, bytes: Uint8Array, want: readonly number[]): void {
  const data = join(folder, 'node', name, 'test_data_set_0');
  mkdirSync(data, { recursive: true });
  writeFileSync(join(folder, 'node', name, 'model.onnx'), bytes);
  writeFileSync(join(data, 'input_0.pb'), writeTensor(f32(1, -2, 3), 'x'));
  writeFileSync(join(data, 'output_0.pb'), writeTensor(f32(...want), 'y'));
}
const unary = (op: string): Uint8Array => model({ inputs: [info('x', 'f32', [3])], outputs: [info('y', 'f32', [3])], nodes: [node(op, ['x'], ['y'])] });

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tenon-conformance-'));
  addCase('right', unary('Abs'), [1, 2, 3]);
  addCase('wrong', unary('Abs'), [1, 2, 4]);
  addCase('unknown', unary('NoSuchOperator'), [1, 2, 3]);
  addCase('cut', unary('Abs').subarray(0, 20), [1, 2, 3]);
  addCase('string', unary('Abs'), [1, 2, 3]);
  const entry = { kind: 'node', op: 'Abs', opset: 18, dtypes: 'FLOAT', rtol: 1e-3, atol: 1e-7, tier: 'A' };
  const cases = [...['right', 'wrong', 'unknown', 'cut'].map((name) => ({ ...entry, case: name })), { ...entry, case: 'string', dtypes: 'FLOAT STRING' }];
  writeFileSync(join(folder, 'index.json'), JSON.stringify({ cases }));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function run(...args: string[]): { readonly code: number | null; readonly text: string } {
  const result = spawnSync(process.execPath, ['--conditions=tenon-source', script, '--cases', folder, '--target', 'interp', ...args], { encoding: 'utf8' });
  return { code: result.status, text: result.stdout + result.stderr };
}

describe('the runner', () => {
  it('tells passes, wrong results, refusals and errors apart', () => {
    const json = join(folder, 'report.json');
    const { code, text } = run('--json', json);
    expect(code).toBe(0);
    expect(text).toMatch(/^counted: 1 of 4 pass \(25\.0 %\), 1 unsupported, 1 wrong, 1 in error$/m);
    expect(text).toMatch(/^2 passed, 2 failed, 1 skipped/m);
    const report = JSON.parse(readFileSync(json, 'utf8')) as { counts: { counted: unknown }; cases: { case: string; status: string; code: string | null; dtypes: string[] }[] };
    expect(report.counts.counted).toEqual({ pass: 1, wrong: 1, unsupported: 1, error: 1, total: 4 });
    expect(report.cases.map((c) => `${c.case}: ${c.status}`)).toEqual(['right: pass', 'wrong: wrong', 'unknown: unsupported', 'cut: error', 'string: pass']);
    expect(report.cases.find((c) => c.case === 'unknown')!.code).toBe('onnx/unsupported-operator');
    expect(report.cases.at(-1)!.dtypes).toEqual(['FLOAT', 'STRING']);
  });

  it('fails below the floor, and where a counted case is wrong or in error', () => {
    expect(run('--filter', 'right|string|unknown', '--floor', '50').code).toBe(0);
    expect(run('--filter', 'right|string|unknown', '--floor', '51').code).toBe(1);
    expect(run('--filter', 'right|wrong', '--floor', '10').code).toBe(1);
  });

  it('refuses wrong options', () => {
    for (const args of [['--target', 'vax'], ['--floor', 'high'], ['--filter', '('], ['--nonsense'], ['--filter', 'nothing-like-it']]) {
      const { code, text } = run(...args);
      expect(code, args.join(' ')).toBe(2);
      expect(text).toMatch(/^conformance:onnx: .+$/m);
      expect(text).not.toMatch(/^ {4}at /m);
    }
  });
});
