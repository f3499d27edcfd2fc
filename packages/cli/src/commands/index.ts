import { TenonError } from 'tenon';
import type { Command } from '../command.ts';
import { nearest } from '../nearest.ts';
import { bench } from './bench.ts';
import { cache } from './cache.ts';
import { check } from './check.ts';
import { compile } from './compile.ts';
import { doctor } from './doctor.ts';
import { explain } from './explain.ts';
import { inspect } from './inspect.ts';
import { run } from './run.ts';
import { verify } from './verify.ts';

/** In the order of help. */
export const commands: readonly Command[] = [compile, run, bench, inspect, explain, check, verify, doctor, cache];

/** Throws `usage/unknown-command`. */
export function findCommand(name: string): Command {
  const found = commands.find((command) => command.name === name);
  if (found !== undefined) return found;
  const near = nearest(name, [...commands.map((command) => command.name), 'help']);
  throw new TenonError({
    code: 'usage/unknown-command', message: `there is no command ${JSON.stringify(name)}`,
    hint: near === null ? '`tenon help` lists the commands' : `did you mean \`tenon ${near}\`?`,
  });
}
