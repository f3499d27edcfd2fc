import { TenonError } from 'tenon';
import { writeFileAtomically } from 'tenon/tools';
import type { ParsedArguments } from '../arguments.ts';
import type { Command, CommandContext } from '../command.ts';
import { exitCodeOf } from '../exit-codes.ts';
import { explainArtifact, explainModel } from '../explain/collect.ts';
import { explanationPage } from '../explain/html.ts';
import { pageData } from '../explain/page-data.ts';
import { scheduleText } from '../explain/schedule-text.ts';
import { explanationText, overview } from '../explain/text.ts';
import { isArtifact, modelOptions, readSettings } from '../models.ts';

async function settingsOf(args: ParsedArguments, ctx: CommandContext): Promise<Parameters<typeof explainModel>[1]> {
  const { build, loaders } = await readSettings(args, ctx);
  return { ...build, loaders };
}

export const explain: Command = {
  name: 'explain',
  summary: 'shows where every operator of a model runs, and why',
  positionals: ['MODEL|ARTIFACT'],
  options: {
    html: { value: 'FILE', doc: 'writes a page with the graph, coloured by target: one file that needs no network' },
    schedule: { doc: 'shows how each kernel came about: the schedule rule that took it, why the others did not, its choices, layouts' },
    'no-codegen': { doc: 'stops when operators are placed: quicker, but without kernels and what code generators refuse' },
    ...modelOptions,
  },
  details: [
    'A line per target, what would gain most, then for every operator: where it is in the model, its target, the rule that',
    'placed it, its region and kernels, and everybody who refused it with code, reason and hint. The model is compiled for',
    'it, so that what code generators refuse is told as well.',
    '',
    'Examples:',
    '  tenon explain model.onnx',
    '  tenon explain model.onnx --html model.html',
    '  tenon explain model.tenon --schedule',
  ].join('\n'),
  async run(args, ctx) {
    const path = args.positionals[0]!;
    const page = args.value('html');
    if (args.flag('schedule') && args.flag('no-codegen')) throw new TenonError({ code: 'usage/arguments', message: '--schedule and --no-codegen contradict each other: schedules are made while code is generated' });
    const artifact = await isArtifact(path);
    if (artifact && page !== undefined) {
      throw new TenonError({ code: 'usage/arguments', message: `${path} is an artifact, which says where operators run but not how they are connected`, hint: 'give the model that it was compiled from' });
    }
    const explanation = artifact ? await explainArtifact(path) : await explainModel(path, await settingsOf(args, ctx), !args.flag('no-codegen'));
    if (page !== undefined) {
      const bytes = new TextEncoder().encode(explanationPage(pageData(explanation)));
      await writeFileAtomically(page, (sink) => Promise.resolve(sink.write(0, bytes)));
    }
    const failure = explanation.problems.find((p) => p.severity === 'error');
    return {
      ...(failure === undefined ? {} : { exitCode: exitCodeOf(failure) }),
      json: { ...explanation, ...(page === undefined ? {} : { html: page }) },
      text: (style) => (args.flag('schedule') ? `${overview(explanation, style)}\n\n${scheduleText(explanation, style)}${page === undefined ? '' : `\n\n${style.paint('green', page)} shows every operator`}` : page === undefined ? explanationText(explanation, style) : `${overview(explanation, style)}\n\n${style.paint('green', page)} shows every operator`),
    };
  },
};
