/**
 * Runs the repository's checks one after another and sums what they counted:
 *
 *     node scripts/ci.ts          everything
 *     node scripts/ci.ts static   types, lint, unused code, import rules, browser bundle
 *
 * Its last line is `N passed, N failed, N skipped`; it fails where anything did.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './workspace.ts';

interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** What vitest reports, as far as it is read here. */
interface VitestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: readonly { readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[] }[];
}

interface Step {
  readonly name: string;
  /** A script of the root's package.json and what follows it. */
  readonly run: readonly string[];
  /** How it counts: `vitest` by its report, `line` by its own closing line, `one` as one check. */
  readonly counts: 'vitest' | 'line' | 'one';
  readonly static?: boolean;
}

const steps: readonly Step[] = [
  { name: 'types', run: ['check:types'], counts: 'one', static: true },
  { name: 'lint', run: ['check:lint'], counts: 'one', static: true },
  { name: 'unused code', run: ['check:unused'], counts: 'one', static: true },
  { name: 'import rules', run: ['check:imports'], counts: 'one', static: true },
  { name: 'docs of errors', run: ['check:errors'], counts: 'one', static: true },
  { name: 'browser bundle', run: ['check:browser'], counts: 'one', static: true },
  { name: 'tests', run: ['test'], counts: 'vitest' },
  { name: 'core without eval', run: ['check:no-eval'], counts: 'vitest' },
  { name: 'published packages', run: ['check:package'], counts: 'one' },
  { name: 'plugin kit', run: ['test:kit', '--', '--third'], counts: 'line' },
  { name: 'proof from outside', run: ['test:outside'], counts: 'line' },
  { name: 'models', run: ['test:models'], counts: 'line' },
  { name: 'conformance', run: ['conformance:onnx', '--', '--counted', '--floor', '35'], counts: 'line' },
];

/** No step may take longer. */
const limitMinutes = 10;
const reports = join(root, '.cache/ci');

async function execute(step: Step): Promise<{ readonly counts: Counts; readonly seconds: number }> {
  const report = join(reports, `${step.name.replaceAll(' ', '-')}.json`);
  const began = performance.now();
  const child = spawn('npm', ['run', '--silent', ...step.run], {
    cwd: root, stdio: ['ignore', 'pipe', 'inherit'], timeout: limitMinutes * 60_000,
    env: { ...process.env, ...(step.counts === 'vitest' ? { TENON_TEST_REPORT: report } : {}) },
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    process.stdout.write(text);
  });
  const code = await new Promise<number>((resolve) => {
    child.on('error', () => resolve(127)).on('close', (exit) => resolve(exit ?? 124));
  });
  const counted = countsOf(step, output, report, code);
  // A step that failed without counting a failure did fail, and one that counted nothing ran nothing.
  const missing = counted.failed === 0 && (code !== 0 || counted.passed + counted.skipped === 0) ? 1 : 0;
  return { counts: { ...counted, failed: counted.failed + missing }, seconds: (performance.now() - began) / 1000 };
}

function countsOf(step: Step, output: string, report: string, code: number): Counts {
  switch (step.counts) {
    case 'one':
      return { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, skipped: 0 };
    case 'line': {
      const [, passed, failed, skipped] = [...output.matchAll(/^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?/gm)].at(-1) ?? [];
      return { passed: Number(passed ?? 0), failed: Number(failed ?? 0), skipped: Number(skipped ?? 0) };
    }
    case 'vitest':
      try {
        const json = JSON.parse(readFileSync(report, 'utf8')) as VitestReport;
        for (const { fullName, status } of json.testResults.flatMap((file) => file.assertionResults)) {
          if (status !== 'passed' && status !== 'failed') console.log(`skipped: ${fullName}`);
        }
        return { passed: json.numPassedTests, failed: json.numFailedTests, skipped: json.numPendingTests + json.numTodoTests };
      } catch {
        return { passed: 0, failed: 1, skipped: 0 };
      }
  }
}

const only = process.argv[2];
if (only !== undefined && only !== 'static') throw new Error(`${only}: only \`static\` can be chosen`);
rmSync(reports, { recursive: true, force: true });
mkdirSync(reports, { recursive: true });

const table: string[] = [];
const total = { passed: 0, failed: 0, skipped: 0 };
for (const step of steps) {
  if (only === 'static' && !step.static) continue;
  console.log(`\n=== ${step.name}`);
  const { counts, seconds } = await execute(step);
  total.passed += counts.passed;
  total.failed += counts.failed;
  total.skipped += counts.skipped;
  table.push([
    step.name.padEnd(20), `${seconds.toFixed(1)} s`.padStart(8), `${counts.passed} passed`.padStart(14),
    `${counts.failed} failed`.padStart(10), `${counts.skipped} skipped`.padStart(12),
  ].join(''));
}
console.log(`\n${table.join('\n')}\n`);
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exitCode = total.failed > 0 ? 1 : 0;
