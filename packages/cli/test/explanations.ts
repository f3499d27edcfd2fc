import type { PartitionReport, TargetShare } from 'tenon/tools';
import { summarize, type ExplainedOperator, type Explanation } from '../src/explain/explanation.ts';

const kinds = ['nn.conv', 'math.sigmoid', 'math.mul', 'nn.matmul', 'math.add', 'nn.softmax', 'shape.transpose', 'nn.layer_norm'];

/** A made-up network of residual blocks on the targets given, the last of which is the host. */
export function network(count: number, targets: readonly string[]): Explanation {
  const uses: string[][] = [];
  const operators = Array.from({ length: count }, (_, i): ExplainedOperator => {
    const at = i % 13;
    const before = (n: number): string => (i - n < 0 ? 'x' : `v${i - n}`);
    // A trunk, a branch of three, a skip over the block, and now and then a value from the very beginning.
    uses.push(at === 4 ? [before(4)] : at === 7 ? [before(4), before(1)] : at === 12 ? [before(1), before(12)] : i > 0 && i % 97 === 0 ? [before(1), 'v1'] : [before(1)]);
    const target = targets[Math.floor(i / 7) % targets.length]!;
    return {
      op: kinds[i % kinds.length]!, loc: `encoder/layer.${Math.floor(i / 13)}/block/operator_${i}`, results: [`v${i}`], types: ['f32[1, 128, 768]'], target, rule: `${target}/rule`,
      region: `region_${Math.floor(i / 7)}_${target}`, kernels: [`kernel_${i}`], flops: 1e6 * (1 + (i % 29)), estimate: { flops: 1e6 * (1 + (i % 29)), seconds: 1e-6 * (1 + (i % 29)), source: 'roofline' },
      rejected: targets.slice(0, targets.indexOf(target)).map((t) => ({ target: t, rule: null, code: 'partition/no-rule', message: `${t} has no rule for it`, hint: 'Add a rule <b>for</b> it.' })),
    };
  });
  const share = (target: string): TargetShare => {
    const mine = operators.filter((o) => o.target === target);
    const total = (of: (o: ExplainedOperator) => number): number => mine.reduce((sum, o) => sum + of(o), 0);
    return { target, operators: mine.length, regions: new Set(mine.map((o) => o.region)).size, flops: total((o) => o.flops!), seconds: total((o) => o.estimate!.seconds) };
  };
  const partition: PartitionReport = {
    strategy: 'cost', chosen: 'cost', totals: { cost: 4.1e-3, greedy: 5.2e-3, host: 7.7e-3 }, plan: 'plan:0', dims: {}, targets: targets.map(share), transfers: { count: 0, bytes: 0, seconds: 0 },
    whatIf: count < 10 ? [] : [{
      kind: 'operator', op: kinds[1]!, rule: null, operators: 3, locs: [operators[1]!.loc!, operators[9]!.loc!], target: targets[0]!, code: 'partition/no-rule', message: 'there is no rule',
      gain: 1.2e-3, seconds: 2.9e-3,
    }],
  };
  return {
    subject: `made-up/${count}.onnx`, compiler: 'tenon', targets: summarize(operators, targets, partition), operators, eliminated: [], transfers: null, problems: [], partition, schedules: null, layouts: null,
    graph: { inputs: [{ name: 'x', value: 'x', type: 'f32[1, 128, 768]' }], outputs: [{ name: 'y', value: `v${count - 1}`, type: 'f32[1, 128, 768]' }], uses, constants: uses.map(() => []) },
  };
}
