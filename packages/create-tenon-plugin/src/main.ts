#!/usr/bin/env node
import { createInterface } from 'node:readline/promises';
import { runCreate } from './create.ts';

/** Asks on a terminal only: elsewhere nobody would answer. */
const interactive = process.stdin.isTTY && process.stdout.isTTY;

async function ask(question: string): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stdout });
  try {
    return (await lines.question(question)).trim();
  } finally {
    lines.close();
  }
}

process.exitCode = await runCreate(process.argv.slice(2), {
  folder: process.cwd(), ask: interactive ? ask : null, print: (line) => console.log(line), complain: (line) => console.error(line),
});
