import { diagnosticOf, type Diagnostic } from 'tenon';
import { placeModel } from 'tenon/tools';
import type { Command } from '../command.ts';
import { exitCodes } from '../exit-codes.ts';
import { modelOptions, readSettings } from '../models.ts';
import { placementSummary, summaryLines } from '../placements.ts';
import { plural } from '../terminal/numbers.ts';
import { formatList } from '../terminal/table.ts';

/** What says that a model is right but more than is supported. */
const unsupported = /^(onnx\/unsupported-|onnx\/dynamic-|partition\/unsupported$)/;

export const check: Command = {
  name: 'check',
  summary: 'lists the operators of a model that no target supports; exit code 1 if there are any',
  positionals: ['MODEL'],
  options: { ...modelOptions },
  details: 'Nothing is compiled. Example:\n  tenon check model.onnx --target cpu-c && tenon compile model.onnx',
  async run(args, ctx) {
    const { build } = await readSettings(args, ctx);
    let problem: Diagnostic;
    try {
      const { placements } = await placeModel(args.positionals[0]!, build);
      const summary = placementSummary(placements);
      return {
        json: { supported: true, unsupported: [], summary },
        text: (style) => [style.paint('green', `every operator is supported (${placements.length})`), ...summaryLines(summary, style)].join('\n'),
      };
    } catch (error) {
      const known = diagnosticOf(error);
      if (known === null || !unsupported.test(known.code)) throw error;
      problem = known;
    }
    const list = problem.related.length > 0 ? problem.related : [problem];
    return {
      exitCode: exitCodes.notRight,
      json: { supported: false, code: problem.code, unsupported: list.map(({ op, code, message, loc, hint }) => ({ op, code, message, loc, hint })) },
      text: (style) => [
        style.paint('red', `${plural(list.length, 'operator')} not supported [${problem.code}]`),
        formatList(list.map((d) => [d.op ?? d.code, d.message + (d.hint === null ? '' : `; ${d.hint}`)] as const), style, '  '),
        ...(problem.hint === null ? [] : [`${style.paint('dim', 'hint:')} ${problem.hint}`]),
      ].join('\n'),
    };
  },
};
