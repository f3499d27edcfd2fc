/**
 * Bundles every portable package for the browser, as a page would, and says how large each is. Fails where a module of
 * Node's is reached, or where the bundle makes code from strings.
 */
import { gzipSync } from 'node:zlib';
import { build, type Message } from 'esbuild';
import { root } from './workspace.ts';

/** What pages import. */
const entries = [
  '@tenon/plugin', '@tenon/artifact', '@tenon/core', '@tenon/ops', '@tenon/interp', '@tenon/schedule', '@tenon/compiler',
  '@tenon/runtime', '@tenon/runtime/browser', '@tenon/frontend-onnx', 'tenon', 'tenon/browser',
];

interface Bundle {
  readonly entry: string;
  readonly bytes: number;
  readonly gzip: number;
  readonly problems: readonly string[];
}

const say = ({ text, location }: Message): string => (location ? `${location.file}:${location.line}: ${text}` : text);

async function bundle(entry: string): Promise<Bundle> {
  // A package's own imports of others resolve from its folder; from the root nothing of ours is installed.
  const folder = entry.startsWith('@tenon/') ? entry.split('/')[1]! : 'tenon';
  try {
    const { outputFiles, warnings, metafile } = await build({
      stdin: { contents: `export * from '${entry}';`, resolveDir: `${root}/packages/${folder}`, sourcefile: entry },
      bundle: true, minify: true, write: false, metafile: true, format: 'esm', platform: 'browser', target: 'es2023',
      conditions: ['tenon-source'], absWorkingDir: root, logLevel: 'silent', legalComments: 'none',
    });
    const output = outputFiles[0]!;
    const external = Object.values(metafile.inputs).flatMap((input) => input.imports).filter((i) => i.external).map((i) => `imports ${i.path}`);
    // Libraries may try `new Function` and do without; ours may not hold any, which the import rules check.
    return { entry, bytes: output.contents.length, gzip: gzipSync(output.contents).length, problems: [...warnings.map(say), ...external] };
  } catch (error) {
    return { entry, bytes: 0, gzip: 0, problems: (error as { readonly errors?: readonly Message[] }).errors?.map(say) ?? [String(error)] };
  }
}

const kilobytes = (bytes: number): string => `${(bytes / 1000).toFixed(1)} kB`.padStart(10);
let failed = 0;
for (const entry of entries) {
  const { bytes, gzip, problems } = await bundle(entry);
  console.log(`${entry.padEnd(24)}${kilobytes(bytes)} minified${kilobytes(gzip)} gzipped`);
  for (const problem of problems) console.error(`  ${problem}`);
  if (problems.length > 0) failed++;
}
console.log(`browser bundles: ${entries.length}, ${failed} with problems`);
process.exitCode = failed > 0 ? 1 : 0;
