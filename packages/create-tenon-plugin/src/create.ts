/** The command: reads its arguments, asks for what is missing, and makes the repository. */
import { relative } from 'node:path';
import { parseArgs } from 'node:util';
import { diagnosticOf, TenonError } from '@tenon/plugin';
import { kindOfName, kinds, licenses, scaffold, type Kind, type License } from './scaffold.ts';

/** What the command needs of the world. */
export interface Terminal {
  /** Where the new folder goes. */
  readonly folder: string;
  /** null: nobody is there to answer. */
  readonly ask: ((question: string) => Promise<string>) | null;
  print(line: string): void;
  complain(line: string): void;
}

const usage = `npm create tenon-plugin NAME [-- OPTIONS]

Makes a folder NAME with the repository of a Tenon plugin. Its tests run at once.

  --kind KIND        ${Object.entries(kinds).map(([kind, { about }]) => `${kind}: ${about}`).join('\n                     ')}
  --license LICENSE  ${licenses.join(', ')} (default: Apache-2.0)
  --folder FOLDER    another folder than NAME
  --yes              asks nothing; the kind is target unless the name says another
  --help

A name such as tenon-target-x1 or @vendor/tenon-frontend-y says the kind by itself.`;

/** Gives the exit code: 0, or 2 where the arguments or the folder are not right. */
export async function runCreate(args: readonly string[], terminal: Terminal): Promise<number> {
  try {
    await create(args, terminal);
    return 0;
  } catch (error) {
    const found = diagnosticOf(error);
    if (found === null) throw error;
    terminal.complain(`${found.message} [${found.code}]${found.hint === null ? '' : `\n  ${found.hint}`}`);
    return 2;
  }
}

async function create(args: readonly string[], { folder, ask, print }: Terminal): Promise<void> {
  const { values, positionals } = parse(args);
  if (values.help === true) return print(usage);
  const asking = values.yes === true ? null : ask;
  if (positionals.length > 1) throw new TenonError({ code: 'create/arguments', message: `there is one name, not ${positionals.length}: ${positionals.join(' ')}`, hint: 'Options follow --, as in: npm create tenon-plugin NAME -- --kind target' });
  const name = positionals[0] ?? (await asking?.('Name of the package (such as tenon-target-x1): '));
  if (name === undefined || name === '') throw new TenonError({ code: 'create/no-name', message: 'there is no name for the plugin', hint: 'npm create tenon-plugin tenon-target-x1 -- --kind target' });
  const kind = oneOf('kind', Object.keys(kinds) as Kind[], values.kind ?? kindOfName(name) ?? (values.yes === true ? 'target' : undefined) ?? (await asking?.(`Kind (${Object.keys(kinds).join(', ')}): `)));
  const license = oneOf('license', licenses, values.license ?? 'Apache-2.0') as License;
  const made = await scaffold({ name, kind, license, folder, ...(values.folder === undefined ? {} : { into: values.folder }) });
  print(`${relative(folder, made) || '.'}: the ${kind} plugin ${name}\n\n  cd ${relative(folder, made) || '.'}\n  npm install\n  npm test`);
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args], allowPositionals: true,
      options: { kind: { type: 'string' }, license: { type: 'string' }, folder: { type: 'string' }, yes: { type: 'boolean', short: 'y' }, help: { type: 'boolean', short: 'h' } },
    });
  } catch (error) {
    throw new TenonError({ code: 'create/arguments', message: (error as Error).message.split('. ')[0]!, hint: 'npm create tenon-plugin -- --help' });
  }
}

/** One of a few words; without regard to case. */
function oneOf<T extends string>(what: string, words: readonly T[], given: string | undefined): T {
  const found = words.find((word) => word.toLowerCase() === given?.toLowerCase());
  if (found !== undefined) return found;
  throw new TenonError({ code: `create/unknown-${what}`, message: given === undefined || given === '' ? `no ${what} is given` : `there is no ${what} ‘${given}’`, hint: `Pass --${what} with one of: ${words.join(', ')}.` });
}
