import { execFile } from 'node:child_process';
import { readdir, stat } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);

export type Environment = { readonly [name: string]: string };

/** Runs a program with this Node first in PATH and gives its output. Throws with all that it wrote where it fails. */
export async function run(folder: string, env: Environment, command: string, ...args: readonly string[]): Promise<string> {
  try {
    const { stdout } = await execute(command, args, { cwd: folder, maxBuffer: 1 << 26, env: outsideEnvironment(env) });
    return stdout;
  } catch (error) {
    const { stdout, stderr } = error as { readonly stdout?: string; readonly stderr?: string };
    throw new Error(`${command} ${args.join(' ')} failed:\n${stdout ?? ''}\n${stderr ?? String(error)}`, { cause: error });
  }
}

/** Nothing of npm's and of this repository's is handed on: users have no such variables. */
function outsideEnvironment(env: Environment): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !/^(npm_|pnpm_|node_options$|node_path$|init_cwd$|tenon_|vitest|ci$)/i.test(name));
  const path = (process.env['PATH'] ?? '').split(delimiter).filter((part) => !/node_modules/.test(part));
  return { ...Object.fromEntries(own), PATH: [dirname(process.execPath), ...path].join(delimiter), ...env };
}

/** Files below a folder, in bytes and number; links are not followed. */
export async function sizeOf(folder: string): Promise<{ readonly bytes: number; readonly files: number }> {
  const entries = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  const sizes = await Promise.all(entries.map(async (entry) => (await stat(join(entry.parentPath, entry.name))).size));
  return { bytes: sizes.reduce((a, b) => a + b, 0), files: entries.length };
}

/** The largest packages of a node_modules folder, largest first. */
export async function largestPackages(folder: string, count: number): Promise<readonly (readonly [name: string, bytes: number])[]> {
  const top = (await readdir(folder, { withFileTypes: true })).filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'));
  const names = (await Promise.all(top.map(async ({ name }) => (name.startsWith('@') ? (await readdir(join(folder, name))).map((inner) => `${name}/${inner}`) : [name])))).flat();
  const sized = await Promise.all(names.map(async (name) => [name, (await sizeOf(join(folder, name))).bytes] as const));
  return sized.sort((a, b) => b[1] - a[1]).slice(0, count);
}
