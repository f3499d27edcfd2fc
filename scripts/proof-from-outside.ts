/**
 * Publishes all packages to an npm registry on loopback and uses them as a stranger would: in an empty folder, installs
 * the command, one frontend and one target, and compiles and runs a model; makes plugins with create-tenon-plugin,
 * installs them from their tarballs, and runs the kit on them, as it does with the toy accelerator; and does what
 * docs/write-a-target.md tells. Says what it takes in bytes and seconds; fails above the limits.
 *
 *     npm run test:outside [-- --keep]      --keep: leaves the folder and says where it is
 */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dense, twoLayers } from './outside/models.ts';
import { startRegistry, type LocalRegistry } from './outside/registry.ts';
import { runTutorial } from './outside/tutorial.ts';
import { largestPackages, run, sizeOf, type Environment } from './outside/shell.ts';
import { packages, root } from './workspace.ts';

/** Of the command, one frontend and one target, with all that they need. */
const limitBytes = 8e6;
/** From the empty folder to the first result. */
const limitSeconds = 30;

const folder = await mkdtemp(join(tmpdir(), 'tenon-outside-'));
const measured: { [name: string]: number } = {};
const failures: string[] = [];
let passed = 0;
let registry: LocalRegistry | null = null;

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(2)} MB`;
const fresh = async (name: string): Promise<string> => {
  await mkdir(join(folder, name), { recursive: true });
  return join(folder, name);
};
/** npm as on a machine that has never seen these packages. */
const npmEnvironment = (url: string): Environment => ({
  npm_config_registry: url, npm_config_cache: join(folder, 'npm-cache'), npm_config_userconfig: join(folder, 'npmrc'), npm_config_audit: 'false', npm_config_fund: 'false',
  npm_config_update_notifier: 'false', TENON_CACHE: join(folder, 'tenon-cache'),
});

async function step(name: string, body: () => Promise<void>): Promise<void> {
  try {
    await body();
    passed++;
  } catch (error) {
    failures.push(`${name}: ${(error as Error).message}`);
  }
}
function within(what: string, value: number, limit: number, show: (value: number) => string): void {
  if (value > limit) throw new Error(`${what} is ${show(value)}, above ${show(limit)}`);
}

/** Builds, packs and publishes every package that is public. */
async function publish(url: string): Promise<void> {
  const tarballs = await fresh('tarballs');
  const repository = { PATH: process.env['PATH']! };
  await run(root, repository, 'npm', 'run', '--silent', 'build', '--', '--filter', './packages/*', '--filter', './examples/toy-accelerator');
  await run(root, repository, 'npm', 'run', '--silent', 'pnpm', '--', '--recursive', '--filter', './packages/*', 'pack', '--pack-destination', tarballs);
  // Verdaccio lets anybody publish here; npm wants some token nevertheless.
  await writeFile(join(folder, 'npmrc'), `${url.replace(/^http:/, '')}:_authToken=nobody\n`);
  const files = await readdir(tarballs);
  const publicPackages = packages().filter(({ json }) => json.private !== true);
  if (files.length < publicPackages.length) throw new Error(`${publicPackages.length} packages, but ${files.length} tarballs`);
  for (const file of files) await run(tarballs, npmEnvironment(url), 'npm', 'publish', `./${file}`, '--access', 'public');
  console.log(`${files.length} packages published to ${url}`);
}

/** The command, one frontend, one target. */
async function useCommand(url: string): Promise<void> {
  const user = await fresh('user');
  await writeFile(join(user, 'dense.onnx'), dense());
  await writeFile(join(user, 'package.json'), '{ "name": "user", "private": true, "type": "module" }\n');
  const env = npmEnvironment(url);
  const began = performance.now();
  await run(user, env, 'npm', 'install', '@tenon/cli', '@tenon/frontend-onnx', '@tenon/target-cpu-c');
  const installed = performance.now();
  const tenon = (...args: readonly string[]): Promise<string> => run(user, env, join(user, 'node_modules/.bin/tenon'), ...args);
  const result = JSON.parse(await tenon('run', 'dense.onnx', '--input', 'x=[4,2]:ones', '--json')) as { readonly outputs: readonly { readonly name: string; readonly shape: readonly number[]; readonly min: number; readonly max: number; readonly mean: number }[] };
  const ended = performance.now();
  const [y] = result.outputs;
  if (y?.name !== 'y' || y.shape.join() !== '4,3' || y.min !== 0 || y.max !== 10 || Math.abs(y.mean - 31 / 6) > 1e-5) throw new Error(`the model gives ${JSON.stringify(result.outputs)}`);
  await tenon('compile', 'dense.onnx', '-o', 'dense.tenon');
  await tenon('verify', 'dense.tenon');
  await tenon('explain', 'dense.onnx', '--html', 'dense.html');
  if (!(await readFile(join(user, 'dense.html'), 'utf8')).includes('</html>')) throw new Error('tenon explain --html wrote no page');

  const { bytes, files } = await sizeOf(join(user, 'node_modules'));
  const largest = await largestPackages(join(user, 'node_modules'), 6);
  Object.assign(measured, { installBytes: bytes, installFiles: files, installSeconds: (installed - began) / 1000, firstResultSeconds: (ended - began) / 1000 });
  console.log(`installed: ${megabytes(bytes)} in ${files} files (${largest.map(([name, size]) => `${name} ${megabytes(size)}`).join(', ')})`);
  console.log(`installed in ${measured['installSeconds']!.toFixed(1)} s, first result after ${measured['firstResultSeconds']!.toFixed(1)} s`);
  within('node_modules', bytes, limitBytes, megabytes);
  within('the time to the first result', measured['firstResultSeconds']!, limitSeconds, (s) => `${s.toFixed(1)} s`);
}

/** A plugin's repository of its own: made, tested, packed, installed elsewhere, and examined. */
async function usePlugin(url: string, kind: string): Promise<void> {
  const env = npmEnvironment(url);
  const home = await fresh(`vendor-${kind}`);
  const name = `tenon-outside-${kind}`;
  const began = performance.now();
  await run(home, env, 'npm', 'create', '--yes', 'tenon-plugin', name, '--', '--kind', kind);
  const repository = join(home, name);
  await run(repository, env, 'npm', 'install');
  await run(repository, env, 'npm', 'run', 'check');
  await run(repository, env, 'npm', 'test');
  await run(repository, env, 'npm', 'pack', '--pack-destination', home);
  await examine(url, kind, home, name);
  measured[`${kind}PluginSeconds`] = (performance.now() - began) / 1000;
  console.log(`a plugin of the kind ${kind}: made, tested, packed, installed and examined in ${measured[`${kind}PluginSeconds`]!.toFixed(1)} s`);
}

/** The example, as its vendor would publish it. */
async function useToy(url: string): Promise<void> {
  const home = await fresh('vendor-toy');
  await run(root, { PATH: process.env['PATH']! }, 'npm', 'run', '--silent', 'pnpm', '--', '--filter', './examples/toy-accelerator', 'pack', '--pack-destination', home);
  const checks = await examine(url, 'toy', home, 'tenon-target-toy');
  console.log(`the toy accelerator, from its tarball: ${checks} checks`);
}

/** Installs the tarball of a folder in another one, and runs the kit on what is installed. */
async function examine(url: string, what: string, folder: string, name: string): Promise<number> {
  const tarball = (await readdir(folder)).find((file) => file.endsWith('.tgz'));
  if (tarball === undefined) throw new Error('packing wrote no tarball');
  const elsewhere = await fresh(`examiner-${what}`);
  await writeFile(join(elsewhere, 'package.json'), '{ "name": "examiner", "private": true, "type": "module" }\n');
  await run(elsewhere, npmEnvironment(url), 'npm', 'install', join(folder, tarball), '@tenon/plugin-kit', '@tenon/target-cpu-c');
  const output = await run(elsewhere, npmEnvironment(url), join(elsewhere, 'node_modules/.bin/tenon-plugin-kit'), join('node_modules', name), '--json');
  const report = JSON.parse(output) as { readonly ok: boolean; readonly failures: readonly unknown[]; readonly tiers: readonly { readonly checks: number }[] };
  if (!report.ok) throw new Error(`the kit finds ${JSON.stringify(report.failures)}`);
  return report.tiers.reduce((sum, tier) => sum + tier.checks, 0);
}

/** The tutorial, from an empty folder to a published plugin in use. */
async function followTutorial(url: string): Promise<void> {
  const reader = await fresh('reader');
  const model = join(await fresh('models'), 'mlp.onnx');
  await writeFile(model, twoLayers());
  const began = performance.now();
  const { commands, files } = await runTutorial(join(root, 'docs/write-a-target.md'), reader, { ...npmEnvironment(url), MODEL: model });
  console.log(`the tutorial: ${commands} commands and ${files} files in ${((performance.now() - began) / 1000).toFixed(1)} s`);
}

try {
  const upstream = (await run(root, {}, 'npm', 'config', 'get', 'registry')).trim();
  registry = await startRegistry(await fresh('registry'), ['@tenon/*', 'tenon', 'create-tenon-plugin', 'tenon-target-*'], upstream);
  const { url } = registry;
  await step('publish', () => publish(url));
  if (failures.length === 0) {
    await step('install and run', () => useCommand(url));
    for (const kind of ['target', 'frontend', 'library']) await step(`plugin of the kind ${kind}`, () => usePlugin(url, kind));
    await step('toy accelerator', () => useToy(url));
    await step('tutorial', () => followTutorial(url));
  }
} catch (error) {
  failures.push((error as Error).message);
} finally {
  await registry?.close();
  if (process.argv.includes('--keep')) console.log(`kept: ${folder}`);
  else await rm(folder, { recursive: true, force: true });
}
await mkdir(join(root, '.cache'), { recursive: true });
await writeFile(join(root, '.cache/outside.json'), `${JSON.stringify({ node: process.version, platform: `${process.platform}-${process.arch}`, ...measured }, null, 2)}\n`);
for (const failure of failures) console.log(`failed: ${failure}`);
console.log(`${passed} passed, ${failures.length} failed, 0 skipped`);
process.exitCode = failures.length > 0 ? 1 : 0;
