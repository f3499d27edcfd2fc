import type { Diagnostic } from 'tenon';
import type { LayoutRecord, PartitionReport, Placement, ScheduleRecord } from 'tenon/tools';
import { countOps } from '../placements.ts';

/** Where every operator of a model runs, and why: what all forms of `tenon explain` show. */
export interface Explanation {
  /** The model or artifact as it was named. */
  readonly subject: string;
  readonly compiler: string;
  readonly targets: readonly ExplainedTarget[];
  /** In the order of the data flow. */
  readonly operators: readonly ExplainedOperator[];
  /** Operators of the model that do not run: their results were known while compiling, or equal to others. */
  readonly eliminated: readonly { readonly op: string; readonly loc: string }[];
  /** null where only placements are known, as from an artifact. */
  readonly graph: ExplainedGraph | null;
  /** Values of one target that another one reads, once per value and reader; null without a graph. */
  readonly transfers: number | null;
  /** What the partitioner weighed; null where there was nothing to decide: all runs on the host. */
  readonly partition: PartitionReport | null;
  /** How kernels came about, in the order of their targets; null where no code was generated. */
  readonly schedules: readonly ExplainedSchedule[] | null;
  /** Values between kernels whose axes lie otherwise than in the model; null where no code was generated. */
  readonly layouts: readonly ExplainedLayout[] | null;
  /** What kept parts from running where they were placed; the compilation may have ended with the last. */
  readonly problems: readonly Diagnostic[];
}

export interface ExplainedTarget {
  readonly target: string;
  readonly host: boolean;
  readonly operators: number;
  readonly regions: number;
  readonly kernels: number | null;
  /** Scalar operations, with open dims at typical values; null where nothing states them. */
  readonly flops: number | null;
  /** Of all those of the model: 0 to 1. */
  readonly flopsShare: number | null;
  /** Estimated, with the launches of its regions; null where nothing was estimated. */
  readonly seconds: number | null;
  /** How often each operator runs there, most frequent first. */
  readonly counts: readonly { readonly op: string; readonly count: number }[];
}

export interface ExplainedOperator extends Placement {
  readonly types: readonly string[];
  /** Kernels that compute it, alone or with others; empty for views, and where the target names none. */
  readonly kernels: readonly string[];
  /** Scalar operations, with open dims at typical values; null where nothing states them. */
  readonly flops: number | null;
}

export interface ExplainedSchedule extends ScheduleRecord {
  readonly ops: readonly string[];
  /** Nodes of the model that it computes, wherever it is called. */
  readonly locs: readonly string[];
  /** Regions that call it. */
  readonly regions: readonly string[];
  /** Entries of libraries that do not compute it, or parts of it. */
  readonly libraries: readonly RefusedEntry[];
}

export interface RefusedEntry {
  readonly op: string;
  readonly entry: string;
  readonly code: string;
  readonly message: string;
  readonly hint: string | null;
}

export interface ExplainedLayout extends LayoutRecord {
  /** The node of the model that it is a result of. */
  readonly loc: string | null;
}

export interface ExplainedGraph {
  readonly inputs: readonly ExplainedValue[];
  readonly outputs: readonly ExplainedValue[];
  /** By operator: names of the values it uses, in order. */
  readonly uses: readonly (readonly string[])[];
  /** By operator: the constants it uses. */
  readonly constants: readonly (readonly ExplainedValue[])[];
}

export interface ExplainedValue {
  /** As users see it. */
  readonly name: string;
  /** As operators name it. */
  readonly value: string;
  readonly type: string;
}

/** Sums what the operators of each target come to. */
export function summarize(operators: readonly ExplainedOperator[], targets: readonly string[], report: PartitionReport | null): ExplainedTarget[] {
  const total = sum(operators.map((o) => o.flops));
  const host = targets.at(-1);
  return [...new Set([...targets, ...operators.map((o) => o.target)])].map((target) => {
    const mine = operators.filter((o) => o.target === target);
    const flops = sum(mine.map((o) => o.flops));
    return {
      target, host: target === host, operators: mine.length, regions: new Set(mine.map((o) => o.region)).size,
      kernels: new Set(mine.flatMap((o) => o.kernels.map((kernel) => `${o.region} ${kernel}`))).size,
      flops, flopsShare: flops === null || total === null || total === 0 ? null : flops / total, 
      seconds: report?.targets.find((t) => t.target === target)?.seconds ?? null, counts: countOps(mine.map((o) => o.op)),
    };
  });
}

/** null where none is known. */
function sum(values: readonly (number | null)[]): number | null {
  const known = values.filter((v) => v !== null);
  return known.length === 0 ? null : known.reduce((a, b) => a + b, 0);
}
