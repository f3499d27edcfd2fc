import type { Expr, TensorType, Value } from '@tenon/plugin';
import type { Conversion, ConverterTable } from '../convert.ts';

/** A value whose axes have labels: a letter, or `.N` for the N-th axis of an ellipsis counted from its end. */
interface Term {
  readonly value: Value;
  readonly labels: readonly string[];
}

const typeOf = (value: Value): TensorType => value.type as TensorType;
const occurrences = (labels: readonly string[], label: string): number => labels.filter((l) => l === label).length;

interface Equation {
  readonly operands: readonly (readonly string[])[];
  readonly output: readonly string[];
}

/** The labels of every axis. `ranks`: of the operands. */
function parse(c: Conversion, equation: string, ranks: readonly number[]): Equation {
  const invalid = (why: string): never => c.unsupported('onnx/invalid-attribute', `the equation ${JSON.stringify(equation.slice(0, 200))} ${why}`);
  const sides = equation.replace(/\s/g, '').split('->');
  if (sides.length > 2) invalid('has two arrows');
  const labelsOf = (term: string, ellipsisRank: number): string[] => {
    if (!/^[A-Za-z]*(\.\.\.)?[A-Za-z]*$/.test(term)) invalid('has characters that are neither letters nor one ellipsis per term');
    const ellipsis = Array.from({ length: ellipsisRank }, (_, i) => `.${ellipsisRank - 1 - i}`);
    return term.split('...').flatMap((letters, i) => [...(i === 0 ? [] : ellipsis), ...letters]);
  };
  const terms = sides[0]!.split(',');
  if (terms.length !== ranks.length) invalid(`has ${terms.length} terms for ${ranks.length} operands`);
  let longest = 0;
  const operands = terms.map((term, i) => {
    const rank = term.includes('...') ? ranks[i]! - (term.length - 3) : 0;
    const labels = rank < 0 ? [] : labelsOf(term, rank);
    if (labels.length !== ranks[i]) invalid(`does not fit operand ${i}, which has rank ${ranks[i]}`);
    longest = Math.max(longest, rank);
    return labels;
  });
  const all = operands.flat();
  const ellipsis = Array.from({ length: longest }, (_, i) => `.${longest - 1 - i}`);
  const implicit = [...new Set(all)].filter((l) => !l.startsWith('.') && occurrences(all, l) === 1).sort();
  const output = sides.length === 2 ? labelsOf(sides[1]!, longest) : [...ellipsis, ...implicit];
  if (new Set(output).size !== output.length || output.some((l) => !all.includes(l))) invalid('has an output label twice, or one that no operand has');
  return { operands, output };
}

class Contraction {
  private readonly c: Conversion;

  constructor(c: Conversion) {
    this.c = c;
  }

  private reshape(value: Value, shape: readonly Expr[]): Value {
    const from = typeOf(value).shape;
    return from.length === shape.length && from.every((d, i) => d === shape[i]) ? value : this.c.b.call('shape.reshape', [value], { shape });
  }

  private dim(term: Term, label: string): Expr {
    return typeOf(term.value).shape[term.labels.indexOf(label)]!;
  }

  private isOne(term: Term, label: string): boolean {
    return this.c.exprs.valueOf(this.dim(term, label)) === 1;
  }

  /** With the axes in the order of `labels`. */
  permute(term: Term, labels: readonly string[]): Term {
    const perm = labels.map((l) => term.labels.indexOf(l));
    if (perm.every((p, i) => p === i)) return term;
    return { value: this.c.b.call('shape.transpose', [term.value], { perm }), labels };
  }

  /** One axis for every label: an axis that occurs twice is read along its diagonal. */
  diagonal(term: Term): Term {
    const label = term.labels.find((l, i) => term.labels.indexOf(l) !== i);
    if (label === undefined) return term;
    const { exprs, b } = this.c;
    const first = term.labels.indexOf(label);
    const second = term.labels.indexOf(label, first + 1);
    const rest = term.labels.map((_, i) => i).filter((i) => i !== first && i !== second);
    const { shape } = typeOf(term.value);
    const size = shape[first]!;
    if (exprs.prove(exprs.eq(size, shape[second]!)) !== 'yes') this.c.unsupported('onnx/invalid-shape', `the two axes ${label} of one operand differ in size`);
    const moved = b.call('shape.transpose', [term.value], { perm: [...rest, first, second] });
    const flat = this.reshape(moved, [...rest.map((i) => shape[i]!), exprs.mul(size, size)]);
    // Element (i, i) of an n × n matrix is at i · (n + 1).
    const n = exprs.valueOf(size) ?? this.c.unsupported('onnx/dynamic-shape', 'the diagonal of a symbolic size is not supported', 'fix the dims of the input');
    const value = b.call('shape.slice', [flat], { starts: [0], sizes: [size], axes: [rest.length], steps: [n + 1] });
    return this.diagonal({ value, labels: [...rest.map((i) => term.labels[i]!), label] });
  }

  /** Sums over the axes that `keep` refuses. */
  sumOut(term: Term, keep: (label: string) => boolean): Term {
    const axes = term.labels.map((_, i) => i).filter((i) => !keep(term.labels[i]!));
    if (axes.length === 0) return term;
    return { value: this.c.b.call('reduce.sum', [term.value], { axes, keepdims: false }), labels: term.labels.filter(keep) };
  }

  /** The product of two terms, summed over the labels that both have and `later` does not ask for. */
  multiply(left: Term, right: Term, later: (label: string) => boolean): Term {
    let [a, b] = [left, right];
    // An axis of size 1 repeats along the other operand's: there the sum is over that operand alone.
    for (const label of a.labels.filter((l) => b.labels.includes(l) && !later(l))) {
      if (this.isOne(a, label) !== this.isOne(b, label)) {
        const drop = (l: string): boolean => l !== label;
        [a, b] = [this.sumOut(a, drop), this.sumOut(b, drop)];
      }
    }
    const shared = a.labels.filter((l) => b.labels.includes(l));
    const batch = shared.filter(later);
    const summed = shared.filter((l) => !later(l));
    const ownA = a.labels.filter((l) => !b.labels.includes(l));
    const ownB = b.labels.filter((l) => !a.labels.includes(l));
    const { exprs } = this.c;
    const sizes = (term: Term, labels: readonly string[]): Expr[] => labels.map((l) => this.dim(term, l));
    const labels = [...batch, ...ownA, ...ownB];
    const batchSizes = batch.map((l) => (this.isOne(a, l) ? this.dim(b, l) : this.dim(a, l)));
    if (summed.length === 0) {
      const one = exprs.int(1);
      const x = this.reshape(this.permute(a, [...batch, ...ownA]).value, [...sizes(a, batch), ...sizes(a, ownA), ...ownB.map(() => one)]);
      const y = this.reshape(this.permute(b, [...batch, ...ownB]).value, [...sizes(b, batch), ...ownA.map(() => one), ...sizes(b, ownB)]);
      return { value: this.c.b.call('math.mul', [x, y]), labels };
    }
    const k = exprs.product(sizes(a, summed));
    const x = this.reshape(this.permute(a, [...batch, ...ownA, ...summed]).value, [...sizes(a, batch), exprs.product(sizes(a, ownA)), k]);
    const y = this.reshape(this.permute(b, [...batch, ...summed, ...ownB]).value, [...sizes(b, batch), k, exprs.product(sizes(b, ownB))]);
    const value = this.c.b.call('nn.matmul', [x, y]);
    return { value: this.reshape(value, [...batchSizes, ...sizes(a, ownA), ...sizes(b, ownB)]), labels };
  }
}

function einsum(c: Conversion): readonly Value[] {
  const values = c.inputs.map((_, i) => c.input(i));
  const { operands, output } = parse(c, c.string('equation'), values.map((_, i) => c.tensor(i).shape.length));
  const contraction = new Contraction(c);
  const terms = values.map((value, i) => contraction.diagonal({ value, labels: operands[i]! }));
  let result = contraction.sumOut(terms[0]!, (l) => output.includes(l) || terms.slice(1).some((t) => t.labels.includes(l)));
  for (let i = 1; i < terms.length; i++) {
    const later = (l: string): boolean => output.includes(l) || terms.slice(i + 1).some((t) => t.labels.includes(l));
    const { labels } = result;
    const next = contraction.sumOut(terms[i]!, (l) => later(l) || labels.includes(l));
    result = contraction.multiply(result, next, later);
  }
  return [contraction.permute(result, output).value];
}

export const converters: ConverterTable = {
  Einsum: { since: 12, convert: einsum },
};
