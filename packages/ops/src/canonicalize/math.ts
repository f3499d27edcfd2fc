import { any, constant, op, typeOf, type Match, type OpPattern, type Pattern, type Value } from '@tenon/plugin';
import type { RewriteRule } from '@tenon/core';
import { bitsOf, isFloat, isInteger, isSigned, isUnsigned } from '../common/dtypes.ts';

/** Whether two values have the same dtype and shape, so that one may stand for the other. */
export function sameType(a: Value, b: Value): boolean {
  if (a.type.kind !== 'tensor' || b.type.kind !== 'tensor') return false;
  const { shape } = b.type;
  return a.type.dtype === b.type.dtype && a.type.shape.length === shape.length && a.type.shape.every((d, i) => d === shape[i]);
}

const dtypeOf = (match: Match, name: string): string => typeOf(match, name)?.dtype ?? '';
const integerOnly = (match: Match): boolean => isInteger(dtypeOf(match, 'x'));

/** The root is replaced by the value named `x`, where their types agree. */
function toOperand(name: string, pattern: OpPattern, doc: string, when: (match: Match) => boolean = () => true): RewriteRule {
  return {
    name, pattern, doc,
    apply: (match) => {
      const x = match.values.get('x')!;
      return sameType(x, match.root) && when(match) ? [x] : null;
    },
  };
}

/** The root is replaced by a call on named values, where it has the root's type. */
function toCall(name: string, pattern: OpPattern, callee: string, args: readonly string[], doc: string, when: (match: Match) => boolean = () => true): RewriteRule {
  return {
    name, pattern, doc,
    apply: (match, b) => {
      if (!when(match)) return null;
      const value = b.call(callee, args.map((arg) => match.values.get(arg)!));
      return sameType(value, match.root) ? [value] : null;
    },
  };
}

/** Powers of an integer to a float are computed in f64. */
const powerInOwnType = (match: Match): boolean => {
  const exponent = match.bindings[0]!.args[1]?.type;
  return isFloat(dtypeOf(match, 'x')) || (exponent?.kind === 'tensor' && isInteger(exponent.dtype));
};

const commutative = { commutative: true } as const;
const x = any('x');
const y = any('y');
const one: Pattern = constant(null, 1);
const zero: Pattern = constant(null, 0);

// A float x + 0 is not x where x is −0, nor is x − 0 where the constant is −0; hence integers only.
const neutral: readonly RewriteRule[] = [
  toOperand('add-zero', op('math.add', [x, zero], commutative), 'x + 0 → x on integers', integerOnly),
  toOperand('sub-zero', op('math.sub', [x, zero]), 'x − 0 → x on integers', integerOnly),
  toOperand('mul-one', op('math.mul', [x, one], commutative), 'x · 1 → x'),
  toOperand('div-one', op('math.div', [x, one]), 'x / 1 → x'),
  toOperand('pow-one', op('math.pow', [x, one]), 'x¹ → x', powerInOwnType),
  toOperand('and-true', op('math.and', [x, one], commutative), 'x and true → x'),
  toOperand('or-false', op('math.or', [x, zero], commutative), 'x or false → x'),
  toOperand('xor-false', op('math.xor', [x, zero], commutative), 'x xor false → x'),
  toOperand('bitor-zero', op(['math.bitor', 'math.bitxor'], [x, zero], commutative), 'x | 0 and x ^ 0 → x'),
  toOperand('shift-zero', op(['math.shl', 'math.shr'], [x, zero]), 'a shift by 0 → x'),
  toOperand('reduce-none', op(['reduce.max', 'reduce.min', 'reduce.prod', 'reduce.any', 'reduce.all'], [x], { attrs: { axes: [] } }), 'a reduction over no axes → x'),
];

const idempotent: readonly RewriteRule[] = [
  toOperand('same-operands', op(['math.min', 'math.max', 'math.and', 'math.or', 'math.bitand', 'math.bitor'], [x, x]), 'min(x, x) → x, and so on'),
  toOperand('where-same', op('math.where', [any(), x, x]), 'where(c, x, x) → x'),
  toOperand('where-true', op('math.where', [one, x, any()]), 'where(true, x, y) → x'),
  toOperand('where-false', op('math.where', [zero, any(), x]), 'where(false, y, x) → x'),
  toOperand('round-integer', op(['math.floor', 'math.ceil', 'math.round', 'math.trunc'], [x]), 'rounding an integer → x', integerOnly),
  toOperand('abs-unsigned', op('math.abs', [x]), '|x| → x on unsigned integers', (m) => isUnsigned(dtypeOf(m, 'x'))),
  toOperand('round-rounded', op(['math.floor', 'math.ceil', 'math.round', 'math.trunc'], [op(['math.floor', 'math.ceil', 'math.round', 'math.trunc'], null, { name: 'x' })]), 'rounding what is rounded already → that'),
  ...['math.abs', 'math.sign', 'nn.relu'].map((name) => toOperand(`${name}-twice`, op(name, [op(name, null, { name: 'x' })]), 'f(f(x)) → f(x)')),
];

const involutions: readonly RewriteRule[] = ['math.neg', 'math.not', 'math.bitnot'].map((name) =>
  toOperand(`${name}-twice`, op(name, [op(name, [x])]), 'f(f(x)) → x'));

const isExactIntegerOrder = (m: Match): boolean => !isFloat(dtypeOf(m, 'x'));
const simpler: readonly RewriteRule[] = [
  toCall('pow-two', op('math.pow', [x, constant(null, 2)]), 'math.mul', ['x', 'x'], 'x² → x · x', powerInOwnType),
  toCall('one-over', op('math.div', [one, x]), 'math.reciprocal', ['x'], '1 / x → the reciprocal, on floats', (m) => isFloat(dtypeOf(m, 'x'))),
  toCall('add-neg', op('math.add', [x, op('math.neg', [y])], commutative), 'math.sub', ['x', 'y'], 'x + (−y) → x − y'),
  toCall('sub-neg', op('math.sub', [x, op('math.neg', [y])]), 'math.add', ['x', 'y'], 'x − (−y) → x + y'),
  toCall('xor-true', op('math.xor', [x, one], commutative), 'math.not', ['x'], 'x xor true → not x'),
  toCall('not-equal', op('math.not', [op('math.equal', [x, y])]), 'math.not_equal', ['x', 'y'], 'not x = y → x ≠ y'),
  toCall('equal-not', op('math.not', [op('math.not_equal', [x, y])]), 'math.equal', ['x', 'y'], 'not x ≠ y → x = y'),
  toCall('not-less', op('math.not', [op('math.less', [x, y])]), 'math.greater_equal', ['x', 'y'], 'not x < y → x ≥ y on integers: floats may be NaN', isExactIntegerOrder),
  toCall('not-less-equal', op('math.not', [op('math.less_equal', [x, y])]), 'math.greater', ['x', 'y'], 'not x ≤ y → x > y on integers', isExactIntegerOrder),
  toCall('not-greater', op('math.not', [op('math.greater', [x, y])]), 'math.less_equal', ['x', 'y'], 'not x > y → x ≤ y on integers', isExactIntegerOrder),
  toCall('not-greater-equal', op('math.not', [op('math.greater_equal', [x, y])]), 'math.less', ['x', 'y'], 'not x ≥ y → x < y on integers', isExactIntegerOrder),
  toCall('where-not', op('math.where', [op('math.not', [any('c')]), x, y]), 'math.where', ['c', 'y', 'x'], 'where(not c, x, y) → where(c, y, x)'),
];

/** Whether every value of `from` is a value of `to` and both are of one kind, so that a further cast gives the same from either. */
function widens(from: string, to: string): boolean {
  if (from === 'bool') return to !== 'bool';
  if (isFloat(from)) return isFloat(to) && (bitsOf(to) > bitsOf(from) && bitsOf(to) >= 32);
  if (!isInteger(from) || !isInteger(to)) return false;
  return isSigned(from) === isSigned(to) ? bitsOf(to) > bitsOf(from) : isSigned(to) && bitsOf(to) > bitsOf(from);
}

const casts: readonly RewriteRule[] = [
  toOperand('cast-same', op('math.cast', [x]), 'a cast to the dtype that x has → x'),
  {
    name: 'cast-widened',
    pattern: op('math.cast', [op('math.cast', [x], { name: 'wide' })]),
    doc: 'cast(cast(x, wider), to) → cast(x, to)',
    apply: (match, b) => {
      const from = dtypeOf(match, 'x');
      const to = match.root.type.kind === 'tensor' ? match.root.type.dtype : '';
      if (!widens(from, dtypeOf(match, 'wide'))) return null;
      const value = match.values.get('x')!;
      return [from === to ? value : b.call('math.cast', [value], { to })];
    },
  },
  {
    name: 'clip-unlimited',
    pattern: op('math.clip', null),
    doc: 'a clip without limits → x',
    apply: (match) => {
      const [value, ...limits] = match.bindings[0]!.args;
      return limits.every((l) => l === null) && value && sameType(value, match.root) ? [value] : null;
    },
  },
];

export const rules: readonly RewriteRule[] = [...neutral, ...idempotent, ...involutions, ...simpler, ...casts];
