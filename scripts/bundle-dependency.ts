/**
 * Takes a dependency into the built files of a package, so that users do not install the whole of it:
 *
 *     node scripts/bundle-dependency.ts NAME      in the folder of a package, after tsc
 *
 * What the package uses of NAME goes into dist/vendor/NAME.js, with its license; imports in dist lead there. The built
 * files stay as they are otherwise. The package lists NAME under `devDependencies`.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { build } from 'esbuild';
import { parseSync, Visitor } from 'oxc-parser';

const [name] = process.argv.slice(2);
if (name === undefined) throw new Error('which dependency?');
const dist = join(process.cwd(), 'dist');
const vendor = join(dist, 'vendor', `${name}.js`);

interface Use {
  readonly file: string;
  readonly source: string;
  /** Of the specifier in its quotes. */
  readonly start: number;
  readonly end: number;
}

/** Imports of the dependency in a built file; names that are used of it are added to `names`. */
function usesIn(file: string, names: Set<string>): Use[] {
  const source = readFileSync(file, 'utf8');
  const uses: Use[] = [];
  const namespaces = new Set<string>();
  const { program } = parseSync(file, source);
  new Visitor({
    ImportDeclaration(node) {
      if (node.source.value !== name) return;
      uses.push({ file, source, start: node.source.start, end: node.source.end });
      for (const specifier of node.specifiers) {
        if (specifier.type === 'ImportNamespaceSpecifier') namespaces.add(specifier.local.name);
        else if (specifier.type === 'ImportSpecifier' && specifier.imported.type === 'Identifier') names.add(specifier.imported.name);
        else throw new Error(`${file}: import ${name} by names or as a namespace`);
      }
    },
  }).visit(program);
  new Visitor({
    MemberExpression(node) {
      if (node.object.type !== 'Identifier' || !namespaces.has(node.object.name)) return;
      if (node.computed || node.property.type !== 'Identifier') throw new Error(`${file}: what is used of ${name} cannot be told from ${source.slice(node.start, node.end)}`);
      names.add(node.property.name);
    },
  }).visit(program);
  return uses;
}

/** The folder that holds the dependency for this package. */
const installed = join(process.cwd(), 'node_modules', name);
const { version, license } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as { readonly version: string; readonly license: string };
const names = new Set<string>();
const files = readdirSync(dist, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
const uses = files.filter((file) => file.endsWith('.js')).flatMap((file) => usesIn(file, names));
if (uses.length === 0) throw new Error(`nothing imports ${name}`);
const typed = files.find((file) => file.endsWith('.d.ts') && new RegExp(`from ['"]${name}['"]|import\\(['"]${name}['"]\\)`).test(readFileSync(file, 'utf8')));
if (typed !== undefined) throw new Error(`${typed} needs the types of ${name}: users would have to install it`);

mkdirSync(dirname(vendor), { recursive: true });
await build({
  stdin: { contents: `export { ${[...names].sort().join(', ')} } from '${name}';`, resolveDir: process.cwd() },
  bundle: true, format: 'esm', platform: 'neutral', target: 'es2023', outfile: vendor, mainFields: ['module', 'main'], logLevel: 'error', legalComments: 'none',
  banner: { js: `/*\nTaken from ${name} ${version} (${license}), as far as it is used here.\n\n${readFileSync(join(installed, 'LICENSE'), 'utf8').trim()}\n*/` },
});
for (const { file, source, start, end } of uses) {
  const path = relative(dirname(file), vendor).replaceAll('\\', '/');
  writeFileSync(file, `${source.slice(0, start)}'${path.startsWith('.') ? path : `./${path}`}'${source.slice(end)}`);
}
console.log(`${name} ${version}: ${names.size} names, ${(readFileSync(vendor).length / 1000).toFixed(0)} kB`);
