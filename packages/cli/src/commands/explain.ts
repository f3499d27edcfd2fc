import type { Placement } from 'tenon/tools';
import { nodeHost, openArtifact, placeModel } from 'tenon/tools';
import type { Command } from '../command.ts';
import { isArtifact, modelOptions, readSettings } from '../models.ts';
import { placementSummary, summaryLines } from '../placements.ts';
import { formatTable } from '../terminal/table.ts';

export const explain: Command = {
  name: 'explain',
  summary: 'shows where every operator of a model runs, and why',
  positionals: ['MODEL|ARTIFACT'],
  options: { ...modelOptions },
  details: 'For every operator: where it is in the model, its target, the rule that placed it, its region, and why targets that go before did not take it.',
  async run(args, ctx) {
    const path = args.positionals[0]!;
    const placements = (await isArtifact(path)) ? await fromArtifact(path) : (await placeModel(path, (await readSettings(args, ctx)).build)).placements;
    const summary = placementSummary(placements);
    return {
      json: { summary, operators: placements },
      text: (style) => [
        formatTable(
          [{ title: 'operator', shrink: 10 }, { title: 'in the model', shrink: 10 }, { title: 'target' }, { title: 'rule', shrink: 8 }, { title: 'region', shrink: 6 }, { title: 'rejected by', shrink: 12 }],
          placements.map((p) => [p.op, p.loc ?? p.results.map((r) => `%${r}`).join(' '), p.target, p.rule, p.region, rejections(p)]),
          style,
        ),
        '',
        ...summaryLines(summary, style),
      ].join('\n'),
    };
  },
};

const rejections = (p: Placement): string => p.rejected.map((r) => `${r.rule ?? r.target}: ${r.message} [${r.code}]`).join('; ') || '–';

async function fromArtifact(path: string): Promise<readonly Placement[]> {
  const source = await nodeHost({ cacheFolder: null }).open(path);
  try {
    return (await openArtifact(source)).manifest.report.placements;
  } finally {
    source.close();
  }
}
