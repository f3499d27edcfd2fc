import { usageLine, type OptionSpecs } from './arguments.ts';
import type { Command } from './command.ts';
import { commands } from './commands/index.ts';
import { exitCodeDocs } from './exit-codes.ts';
import type { Style } from './terminal/style.ts';
import { formatList, wrap } from './terminal/table.ts';

const commonOptions: OptionSpecs = {
  json: { doc: 'prints data for machines instead of text' },
  help: { short: 'h', doc: 'prints this' },
};

const environment: readonly (readonly [string, string])[] = [
  ['CC', 'the C compiler'],
  ['TENON_CACHE', 'the folder of the cache'],
  ['TENON_DEBUG=1', 'prints the stack of errors'],
  ['NO_COLOR, CI', 'no colours; no progress'],
];

export function mainHelp(style: Style): string {
  const heading = (text: string): string => style.paint('bold', text);
  return [
    'tenon compiles machine-learning models and runs them.',
    '',
    `${heading('Usage:')} tenon COMMAND [arguments] [--json]`,
    '',
    heading('Commands:'),
    formatList([...commands.map((c) => [c.name, c.summary] as const), ['help [COMMAND]', 'explains a command'], ['--version', 'prints the version']], style, '  '),
    '',
    heading('Exit codes:'),
    formatList(exitCodeDocs.map(([code, doc]) => [String(code).padStart(3), doc] as const), style, '  '),
    '',
    heading('Environment:'),
    formatList(environment, style, '  '),
  ].join('\n');
}

export function commandHelp(command: Command, style: Style): string {
  const all = { ...command.options, ...commonOptions };
  const options = Object.entries(all).map(([name, spec]) => {
    const short = spec.short === undefined ? '    ' : `-${spec.short}, `;
    return [`${short}--${name}${spec.value === undefined ? '' : ` ${spec.value}`}`, `${spec.doc}${spec.multiple === true ? ' (may be repeated)' : ''}`] as const;
  });
  return [
    ...wrap(`${command.summary[0]!.toUpperCase()}${command.summary.slice(1)}.`, style.width),
    '',
    `${style.paint('bold', 'Usage:')} tenon ${usageLine({ ...command, options: all })}`,
    '',
    style.paint('bold', 'Options:'),
    formatList(options, style, '  '),
    ...(command.details === '' ? [] : ['', command.details]),
  ].join('\n');
}

export function helpJson(command?: Command): { readonly [key: string]: unknown } {
  const describe = (c: Command): object => ({ name: c.name, summary: c.summary, usage: `tenon ${usageLine({ ...c, options: { ...c.options, ...commonOptions } })}`, options: c.options });
  return command === undefined ? { commands: commands.map(describe), exitCodes: Object.fromEntries(exitCodeDocs) } : { ...describe(command) };
}
