import { TenonError } from 'tenon';
import { artifactFolder, cacheFolder, openArtifactStore, openDiskCache } from 'tenon/tools';
import type { Command } from '../command.ts';
import { formatBytes, plural } from '../terminal/numbers.ts';
import { formatList } from '../terminal/table.ts';

export const cache: Command = {
  name: 'cache',
  summary: 'shows what the cache holds (`cache info`), or empties it (`cache clean`)',
  positionals: ['[info|clean]'],
  options: {},
  details: 'TENON_CACHE names another folder. Objects are compiled kernels, artifacts whole models; of each the least recently used go when there are too many.',
  async run(args) {
    const action = args.positionals[0] ?? 'info';
    if (action !== 'info' && action !== 'clean') throw new TenonError({ code: 'usage/arguments', message: `the cache knows info and clean, not ${JSON.stringify(action)}` });
    const folder = cacheFolder(true)!;
    const objects = openDiskCache({ folder });
    const artifacts = openArtifactStore({ folder: artifactFolder(folder) });
    const did = action === 'info' ? 'usage' : 'clean';
    const found = { objects: await objects[did](), artifacts: await artifacts[did]() };
    const bytes = found.objects.bytes + found.artifacts.bytes;
    return {
      json: { action, folder, ...found, bytes },
      text: (style) => action === 'clean'
        ? `removed ${plural(found.objects.entries, 'object')} and ${plural(found.artifacts.entries, 'artifact')}, ${formatBytes(bytes)}`
        : formatList([
          ['folder', folder],
          ['objects', `${found.objects.entries}, ${formatBytes(found.objects.bytes)}`],
          ['artifacts', `${found.artifacts.entries}, ${formatBytes(found.artifacts.bytes)}`],
        ], style),
    };
  },
};
