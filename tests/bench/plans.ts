/** Models placed on the toy accelerator and this machine's processor by every strategy, and what their plans take. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { compile, type Config, type HostTensor, type Model, type Plugin } from 'tenon';
import { best, fastestRun, measureCosts, planSeconds, type Costs, type PlanTimes } from 'tenon/tools';
import type { PartitionReport, PartitionStrategy } from '@tenon/plugin';
import toyPlugin from 'tenon-target-toy';
import toyLoader from 'tenon-target-toy/loader';
import { info, model, node, raw } from '../../packages/frontend-onnx/test/onnx-writer.ts';
import { Absent, models as testModels, type Inputs } from '../models/models.ts';
import { cacheFolder } from '../support/data.ts';
import { generator } from '../support/generator.ts';
import { randomTensor } from '../support/random.ts';
import { rest } from './turns.ts';

export interface PlannedModel {
  readonly name: string;
  /** What is expected to be best: everything on the accelerator, parts of it, or nothing. */
  readonly about: string;
  file(): Uint8Array | string;
  readonly inputs: () => Inputs;
  /** Of the processor. Default: as many as there are cores. */
  readonly threads?: number;
}

type Nodes = ReturnType<typeof node>[];
type Tensors = ReturnType<typeof raw>[];

/** Builds a chain of layers on rows of features. */
class Layers {
  readonly nodes: Nodes = [];
  readonly initializers: Tensors = [];
  readonly #random = generator(11);
  #next = 0;

  constant(shape: readonly number[], range: readonly [number, number]): string {
    const name = `w${this.initializers.length}`;
    this.initializers.push(raw(name, 'f32', shape, randomTensor(this.#random, 'f32', shape, range).data));
    return name;
  }
  integers(values: readonly number[]): string {
    const name = `w${this.initializers.length}`;
    this.initializers.push(raw(name, 'i64', [values.length], BigInt64Array.from(values, BigInt)));
    return name;
  }
  call(op: string, args: readonly string[], attrs: Parameters<typeof node>[3] = {}): string {
    const out = `v${this.#next++}`;
    this.nodes.push(node(op, [...args], [out], { name: `${op}_${this.#next}`, ...attrs }));
    return out;
  }
  dense(x: string, k: number, n: number): string {
    const bound = 1 / Math.sqrt(k);
    return this.call('Add', [this.call('MatMul', [x, this.constant([k, n], [-bound, bound])]), this.constant([n], [-bound, bound])]);
  }
  gelu(x: string): string {
    const erf = this.call('Erf', [this.call('Mul', [x, this.constant([], [Math.SQRT1_2, Math.SQRT1_2])])]);
    return this.call('Mul', [this.call('Mul', [x, this.constant([], [0.5, 0.5001])]), this.call('Add', [erf, this.constant([], [1, 1.0001])])]);
  }
  finish(rows: number, columns: number, y: string, outColumns: number): Uint8Array {
    this.nodes.push(node('Identity', [y], ['y'], { name: 'out' }));
    return model({ inputs: [info('x', 'f32', [rows, columns])], outputs: [info('y', 'f32', [rows, outColumns])], initializers: this.initializers, nodes: this.nodes });
  }
}

const input = (rows: number, columns: number) => (): Inputs => ({ x: randomTensor(generator(2), 'f32', [rows, columns], [-1, 1]) });

function perceptron(): Uint8Array {
  const l = new Layers();
  let x = 'x';
  for (let i = 0; i < 3; i++) x = l.call('Relu', [l.dense(x, 512, 512)]);
  return l.finish(128, 512, x, 512);
}

function broken(rows: number): Uint8Array {
  const l = new Layers();
  const two = (x: string): string => l.dense(l.call('Relu', [l.dense(x, 512, 512)]), 512, 512);
  let x = two('x');
  for (let i = 0; i < 2; i++) x = two(l.gelu(x));
  return l.finish(rows, 512, x, 512);
}

function tiny(): Uint8Array {
  const l = new Layers();
  let x = 'x';
  for (let i = 0; i < 8; i++) x = l.call('Softmax', [l.dense(x, 16, 16)]);
  return l.finish(16, 16, x, 16);
}

/** One layer of a transformer on a single sequence: 128 tokens of 256 features, 4 heads. */
function encoder(): Uint8Array {
  const [tokens, width, heads, inner] = [128, 256, 4, 1024];
  const l = new Layers();
  const split = (x: string, perm: readonly number[]): string => l.call('Transpose', [l.call('Reshape', [x, l.integers([tokens, heads, width / heads])])], { attrs: { perm: { ints: perm } } });
  const norm = (x: string): string => l.call('LayerNormalization', [x, l.constant([width], [0.9, 1.1]), l.constant([width], [-0.1, 0.1])]);
  const [q, k, v] = [l.dense('x', width, width), l.dense('x', width, width), l.dense('x', width, width)];
  const scores = l.call('Softmax', [l.call('Mul', [l.call('MatMul', [split(q, [1, 0, 2]), split(k, [1, 2, 0])]), l.constant([], [0.125, 0.1251])])]);
  const mixed = l.call('Transpose', [l.call('MatMul', [scores, split(v, [1, 0, 2])])], { attrs: { perm: { ints: [1, 0, 2] } } });
  const attended = norm(l.call('Add', ['x', l.dense(l.call('Reshape', [mixed, l.integers([tokens, width])]), width, width)]));
  const fed = l.dense(l.call('Relu', [l.dense(attended, width, inner)]), inner, width);
  return l.finish(tokens, width, norm(l.call('Add', [attended, fed])), width);
}

/** `made`: models that the accelerator takes at least a part of. `all`: and a real network, if its data are here. */
export const made: readonly PlannedModel[] = [
  { name: 'perceptron', about: 'three layers of 512: all on the accelerator', file: perceptron, inputs: input(128, 512) },
  { name: 'broken chain', about: 'six layers of 512 with GELU after every other: split', file: () => broken(128), inputs: input(128, 512) },
  { name: 'encoder layer', about: '128 tokens of 256 features, 4 heads: split, or not, as the processor is', file: encoder, inputs: input(128, 256) },
  { name: 'tiny chain', about: 'eight layers of 16 with Softmax between: all on the host', file: tiny, inputs: input(16, 16) },
];
const bert = testModels.find((m) => m.name === 'bert_base_s128')!;
/** Work enough for a real processor to be slower than the accelerator with its transfers. */
const longer: PlannedModel = { name: 'longer chain', about: 'the broken chain with 512 rows, beside one thread: split', file: () => broken(512), inputs: input(512, 512), threads: 1 };
export const all: readonly PlannedModel[] = [...made, longer, { name: bert.name, about: 'products of rank 3, which the accelerator does not take', file: () => bert.file(), inputs: () => bert.runs[0]!.inputs() }];

export interface Plan {
  readonly strategy: PartitionStrategy;
  readonly report: PartitionReport;
  /** Seconds. */
  readonly estimated: number;
  readonly measured: number;
  readonly outputs: { readonly [name: string]: HostTensor };
}

export interface Comparison {
  readonly model: PlannedModel;
  /** By cost, greedy, host. */
  readonly plans: readonly [Plan, Plan, Plan];
  readonly costs: Costs;
}

/** No version: what is compiled is kept as objects, and never as a whole artifact, since the accelerator may have changed. */
const { version: _, ...toy } = toyPlugin();
const plugins: readonly Plugin[] = [toy];

const strategies = ['cost', 'greedy', 'host'] as const;
/** Each plan has so many turns. */
const turns = 3;

/**
 * Measures the costs of a model's operators, places it with them by every strategy, and measures the plans in turn.
 * Without `times` the host's time is its real one.
 */
export async function comparePlans(planned: PlannedModel, rounds: number, times?: PlanTimes): Promise<Comparison> {
  const file = planned.file();
  if (typeof file === 'string' && !existsSync(file)) throw new Absent(`${file} is not there`);
  const inputs = planned.inputs();
  const base = { cache: join(cacheFolder, 'plans'), loaders: [toyLoader()], onDiagnostic: () => {}, ...(planned.threads === undefined ? {} : { threads: planned.threads }) };
  const config: Config = { plugins, targets: ['toy', 'cpu-c'] };
  const costs = await measureCosts({ compile }, file, { ...base, config, rounds, inputs: () => inputs, ...(times === undefined ? {} : { times }) });
  const loaded: Model[] = [];
  try {
    for (const strategy of strategies) loaded.push(await compile(file, { ...base, config: { ...config, partition: { strategy, costs } } }));
    const outputs: { readonly [name: string]: HostTensor }[] = [];
    for (const m of loaded) outputs.push(await m.run(inputs));
    const measured: number[][] = strategies.map(() => []);
    for (let i = 0; i < turns; i++) {
      for (const [s, m] of loaded.entries()) {
        // As costs are measured, with no other model's threads awake.
        if (times === undefined) await rest();
        measured[s]!.push(planSeconds(await fastestRun(m, inputs, Math.ceil(rounds / turns), times), times));
      }
    }
    // Strategies that agree have one plan, and what is measured of it counts for all of them.
    const identity = loaded.map((m) => m.manifest.report.partition!.plan);
    const pooled = identity.map((plan) => measured.flatMap((times, s) => (identity[s] === plan ? times : [])));
    const plan = (s: number): Plan => {
      const report = loaded[s]!.manifest.report.partition!;
      return { strategy: strategies[s]!, report, estimated: report.totals[report.chosen]!, measured: best(pooled[s]!), outputs: outputs[s]! };
    };
    return { model: planned, plans: [plan(0), plan(1), plan(2)], costs };
  } finally {
    loaded.forEach((m) => m.dispose());
  }
}

/** What the chosen plan takes beside the better of greedy and all-host, and its estimate beside what it takes: 1 is equal. */
export function ratiosOf({ plans: [cost, greedy, host] }: Comparison): { readonly chosen: number; readonly estimate: number } {
  return { chosen: cost.measured / Math.min(greedy.measured, host.measured), estimate: cost.estimated / cost.measured };
}

export const most = { chosen: 1.03, estimate: 0.25 } as const;
