/** Makes the repository of a plugin: a template, with the plugin's own name in it. */
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TenonError } from '@tenon/plugin';

/** What there are templates for. */
export const kinds = {
  target: { about: 'compiles for a device: rules, a code generator, a loader', prefix: 'tenon-target-' },
  frontend: { about: 'reads a format of models', prefix: 'tenon-frontend-' },
  library: { about: 'routines in C in the place of generated code', prefix: 'tenon-library-' },
} as const;
export type Kind = keyof typeof kinds;

export const licenses = ['Apache-2.0', 'MIT', 'UNLICENSED'] as const;
export type License = (typeof licenses)[number];

export interface ScaffoldOptions {
  /** The package's: `tenon-target-x1`, `@vendor/tenon-target-x1`. */
  readonly name: string;
  readonly kind: Kind;
  readonly license: License;
  /** The folder that the new one goes into. */
  readonly folder: string;
  /** The new folder's name. Default: the package's, without its scope. */
  readonly into?: string;
}

/** The kind that a name of the usual form says; undefined where it says none. */
export const kindOfName = (name: string): Kind | undefined => (Object.keys(kinds) as Kind[]).find((kind) => basename(name).startsWith(kinds[kind].prefix));

/** Writes the repository and gives its folder. Throws `create/…` before anything is written. */
export async function scaffold({ name, kind, license, folder, into }: ScaffoldOptions): Promise<string> {
  checkName(name);
  const id = idOf(name);
  const home = resolve(folder, into ?? basename(name));
  if (existsSync(home) && (!(await stat(home)).isDirectory() || (await readdir(home)).some((file) => file !== '.git'))) {
    throw new TenonError({ code: 'create/folder-not-empty', message: `${home} exists and is no empty folder`, hint: 'Choose another name, or another folder with --folder.' });
  }
  const files = new Map([...(await readTemplate('common')), ...(await readTemplate(kind))]);
  files.set('package.json', await packageJson(files.get('package.json')!, license));
  if (license !== 'UNLICENSED') files.set('LICENSE', await licenseText(license, name));
  for (const [path, text] of files) {
    const file = join(home, path.replaceAll(placeholder, id));
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, path === 'LICENSE' ? text : named(text, name, kind, id));
  }
  return home;
}

/** npm's rules for new packages. */
function checkName(name: string): void {
  const part = '[a-z0-9][a-z0-9._-]*';
  const reserved = ['node_modules', 'favicon.ico'];
  if (name.length <= 214 && new RegExp(`^(@${part}/)?${part}$`).test(name) && !reserved.includes(basename(name))) return;
  throw new TenonError({
    code: 'create/invalid-name', message: `‘${name}’ is no name for an npm package`,
    hint: 'Small letters, digits and dashes, with a scope or without: tenon-target-x1, @vendor/tenon-target-x1.',
  });
}

/** The plugin's namespace, which is also its target's name: `@vendor/tenon-target-x1` → `x1`. */
function idOf(name: string): string {
  const words = basename(name).replace(/^tenon-/, '').replace(/^(target|frontend|library|plugin)-/, '').replaceAll(/[^a-z0-9]+/g, '-').replaceAll(/^-+|-+$/g, '');
  return /^[a-z]/.test(words) ? words : `x${words}`;
}

const templates = fileURLToPath(new URL('../templates', import.meta.url));
/** What a template calls the plugin. */
const placeholder = 'acme';

const named = (text: string, name: string, kind: Kind, id: string): string =>
  text.replaceAll(`${kinds[kind].prefix}${placeholder}`, name).replaceAll(`${placeholder}_`, `${id.replaceAll('-', '_')}_`).replaceAll(placeholder, id);

/** The files of a template, by their paths in the repository. npm leaves some names out of packages: here they begin with _. */
async function readTemplate(template: string): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  const walk = async (folder: string, at: string): Promise<void> => {
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      if (entry.name === 'node_modules' || entry.name === 'dist') continue;
      const path = join(at, entry.name.replace(/^_/, '.'));
      if (entry.isDirectory()) await walk(join(folder, entry.name), path);
      else files.set(path, await readFile(join(folder, entry.name), 'utf8'));
    }
  };
  await walk(join(templates, template), '');
  return files;
}

/** Dependencies in the versions that this package was made with. */
async function packageJson(template: string, license: License): Promise<string> {
  const json = JSON.parse(template) as { license: string; dependencies: { [name: string]: string }; devDependencies: { [name: string]: string } };
  const own = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8')) as typeof json;
  const versions = { ...own.dependencies, ...own.devDependencies };
  for (const list of [json.dependencies, json.devDependencies]) {
    for (const name of Object.keys(list)) list[name] = await published(name, versions[name]!);
  }
  json.license = license;
  return `${JSON.stringify(json, null, 2)}\n`;
}

/** Inside the repository, versions of its own packages are those that publishing would write. */
async function published(name: string, version: string): Promise<string> {
  if (!version.startsWith('workspace:')) return version;
  const { version: current } = JSON.parse(await readFile(fileURLToPath(import.meta.resolve(`${name}/package.json`)), 'utf8')) as { version: string };
  return `^${current}`;
}

/** Apache's comes with this package. */
async function licenseText(license: Exclude<License, 'UNLICENSED'>, name: string): Promise<string> {
  if (license === 'Apache-2.0') {
    const own = new URL('../LICENSE', import.meta.url);
    return readFile(existsSync(own) ? own : new URL('../../../LICENSE', import.meta.url), 'utf8');
  }
  return (await readFile(join(templates, 'MIT'), 'utf8')).replace('{year}', String(new Date().getFullYear())).replace('{holder}', `the authors of ${name}`);
}
