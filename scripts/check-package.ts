/**
 * Builds and packs all packages, installs the tarballs in a folder outside the repository as a user would, and there:
 * imports every entry, checks the types of a program, compiles and runs a model, and calls the command `tenon`.
 */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { dense } from './outside/models.ts';
import { packages, readPackage, root } from './workspace.ts';

const execute = promisify(execFile);

/** Runs a program with this Node first in PATH; its output is shown where it fails. */
async function run(folder: string, command: string, args: readonly string[]): Promise<string> {
  try {
    const { stdout } = await execute(command, args, {
      cwd: folder, maxBuffer: 1 << 26, env: { ...process.env, PATH: `${dirname(process.execPath)}${delimiter}${process.env['PATH']}` },
    });
    return stdout;
  } catch (error) {
    const { stdout, stderr } = error as { readonly stdout: string; readonly stderr: string };
    throw new Error(`${command} ${args.join(' ')} failed:\n${stdout}\n${stderr}`, { cause: error });
  }
}

const program = `import { compile, tensor, type Model } from 'tenon';
import { definePlugin } from '@tenon/plugin';

const nothing = definePlugin({ name: 'nothing', namespace: 'nothing' }, () => ({}));
const model: Model = await compile('dense.onnx', { cache: false, config: { plugins: [nothing()] } });
const { y } = await model.run({ x: tensor(Float32Array.of(1, 1, 2, 3), [2, 2]) });
const got = Array.from(y!.data, Number).join(' ');
if (got !== '5.5 0 10 14.5 0 25') throw new Error('y is ' + got);
model.dispose();
console.log('a model compiled and run');
`;

const folder = await mkdtemp(join(tmpdir(), 'tenon-packages-'));
try {
  await run(root, 'npm', ['run', '--silent', 'build']);
  const tarballs = join(folder, 'tarballs');
  await mkdir(tarballs);
  await run(root, 'npm', ['run', '--silent', 'pnpm', '--', '--recursive', '--filter', './packages/*', 'pack', '--pack-destination', tarballs]);

  const all = packages();
  const packed = await readdir(tarballs);
  const dependencies: { [name: string]: string } = {};
  for (const { json } of all) {
    const file = `${json.name.replace('@', '').replace('/', '-')}-${json.version}.tgz`;
    if (!packed.includes(file)) throw new Error(`${json.name}: no ${file} was packed`);
    const content = (await run(tarballs, 'tar', ['-tzf', file])).split('\n');
    for (const wanted of ['package.json', 'README.md', 'LICENSE', 'dist/index.js', 'dist/index.d.ts']) {
      if (!content.includes(`package/${wanted}`)) throw new Error(`${file} lacks ${wanted}`);
    }
    const unwanted = content.filter((path) => !path.startsWith('package/templates/')).find((path) => /\.test\.|\/test\/|tsconfig|node_modules/.test(path));
    if (unwanted !== undefined) throw new Error(`${file} holds ${unwanted}`);
    dependencies[json.name] = `file:tarballs/${file}`;
    // Entries for users who have the peer: here it is that of the repository.
    for (const [peer, { optional }] of Object.entries(json.peerDependenciesMeta ?? {})) {
      const version = readPackage(root).devDependencies?.[peer];
      if (version === undefined) throw new Error(`${json.name}: the repository has no ${peer} for the optional peer dependency`);
      if (optional === true) dependencies[peer] = version;
    }
  }

  await writeFile(join(folder, 'package.json'), JSON.stringify({ name: 'user', private: true, type: 'module', dependencies }, null, 2));
  await writeFile(join(folder, 'dense.onnx'), dense());
  await writeFile(join(folder, 'main.ts'), program);
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({
    compilerOptions: { target: 'es2023', lib: ['es2024', 'esnext.disposable', 'dom'], module: 'nodenext', strict: true, noEmit: true, types: [] }, include: ['main.ts'],
  }));
  await run(folder, 'npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts']);

  const entries = all.flatMap(({ json }) => Object.keys(json.exports ?? {}).filter((name) => name !== './package.json').map((name) => json.name + name.slice(1)));
  await writeFile(join(folder, 'entries.js'), `${entries.map((entry) => `await import('${entry}');`).join('\n')}\n`);
  await run(folder, process.execPath, ['entries.js']);
  console.log(`${all.length} packages with ${entries.length} entries installed and imported`);

  // Without skipLibCheck and without Node's types: our declarations stand by themselves.
  await run(folder, join(root, 'node_modules/.bin/tsc'), ['-p', '.']);
  console.log('types of a program checked');
  process.stdout.write(await run(folder, process.execPath, ['main.ts']));

  const version = (await run(folder, join(folder, 'node_modules/.bin/tenon'), ['--version'])).trim();
  const expected = readPackage(join(root, 'packages/compiler')).version;
  if (!version.includes(expected)) throw new Error(`tenon --version says ${JSON.stringify(version)}; the compiler's version is ${expected}`);
  await run(folder, join(folder, 'node_modules/.bin/tenon'), ['compile', 'dense.onnx', '-o', 'dense.tenon']);
  await run(folder, join(folder, 'node_modules/.bin/tenon'), ['verify', 'dense.tenon']);
  console.log(`the command tenon ${expected} works`);
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}
