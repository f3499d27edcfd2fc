/** Executes a tutorial: what its Markdown tells to type is typed, and what it shows must come out. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { run, type Environment } from './shell.ts';

interface Block {
  /** The word behind the fence, and what follows it: ```` ```ts src/rules.ts ````. */
  readonly language: string;
  readonly file: string;
  readonly text: string;
  readonly line: number;
}

/**
 * Runs blocks of a page in order, beginning in `folder`. `sh` is executed, and `cd` holds for what follows; a block of any
 * language with a path is written to that file; `text` is what the commands before it must have printed: its lines, in
 * any order, where … stands for anything. Other blocks are for readers.
 */
export async function runTutorial(page: string, folder: string, env: Environment): Promise<{ readonly commands: number; readonly files: number }> {
  let here = folder;
  let printed = '';
  const counts = { commands: 0, files: 0 };
  for (const { language, file, text, line } of blocksOf(await readFile(page, 'utf8'))) {
    if (file !== '') {
      await mkdir(dirname(join(here, file)), { recursive: true });
      await writeFile(join(here, file), text);
      counts.files++;
    } else if (language === 'sh') {
      const place = join(folder, '.here');
      try {
        printed = await run(here, env, 'bash', '-euo', 'pipefail', '-c', `${text}\npwd > "${place}"`);
      } catch (error) {
        throw new Error(`line ${line}: ${(error as Error).message}`, { cause: error });
      }
      here = (await readFile(place, 'utf8')).trim();
      counts.commands += text.trim().split('\n').length;
    } else if (language === 'text') {
      const lines = printed.split('\n').map(squeezed);
      for (const wanted of text.split('\n').map(squeezed).filter((part) => part !== '')) {
        const pattern = new RegExp(`^${wanted.split('…').map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`).trim()).join('.*')}$`);
        if (!lines.some((given) => pattern.test(given))) throw new Error(`line ${line}: the page shows ‘${wanted}’, which is not in:\n${printed}`);
      }
    }
  }
  return counts;
}

const squeezed = (text: string): string => text.trim().replaceAll(/\s+/g, ' ');

/** The fenced blocks of a page. */
export function blocksOf(markdown: string): readonly Block[] {
  return [...markdown.matchAll(/^```(\w+)(?: (\S+))?\n([\s\S]*?)^```$/gm)].map(({ 1: language, 2: file, 3: text, index }) => ({
    language: language!, file: file ?? '', text: text!, line: markdown.slice(0, index).split('\n').length,
  }));
}
