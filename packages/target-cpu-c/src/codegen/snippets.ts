import { inline, widthOf, type HelperScope, type HelperType, type Snippet } from './helper.ts';
import { mathSnippets } from './math-snippets.ts';

/** `r[l] = expression` for every lane; a plain return for scalars. */
function perLane(name: string, result: string, params: readonly (readonly [string, string])[], lanes: number, expression: (arg: (name: string) => string) => string): string {
  const head = `${inline} ${result} ${name}(${params.map(([type, param]) => `${type} ${param}`).join(', ')})`;
  if (lanes === 1) return `${head} { return ${expression((p) => p)}; }`;
  return `${head} { ${result} r; for (int l = 0; l < ${lanes}; l++) r[l] = ${expression((p) => `${p}[l]`)}; return r; }`;
}

/** The integers `min … max` of a type, as C constants. */
function integerLimits(element: string): { readonly min: string; readonly max: string } {
  const bits = widthOf(element) * 8;
  if (element.startsWith('u')) return { min: '0', max: bits === 64 ? '18446744073709551615ULL' : `${2 ** bits - 1}${bits === 32 ? 'U' : ''}` };
  if (bits === 64) return { min: '(-9223372036854775807LL - 1)', max: '9223372036854775807LL' };
  return { min: `(-${2 ** (bits - 1) - 1} - 1)`, max: `${2 ** (bits - 1) - 1}` };
}

/** Applies the scalar helper of the same name to every lane. */
const lanewise = (helper: string, scalar: Snippet, operands: number): Snippet => (name, t, s) => {
  if (t.lanes === 1) return scalar(name, t, s);
  const one = s.use(helper, t.element, 1);
  const params = ['a', 'b', 'c'].slice(0, operands).map((p) => [t.type, p] as const);
  return perLane(name, t.type, params, t.lanes, (arg) => `${one}(${params.map(([, p]) => arg(p)).join(', ')})`);
};

const signed = (t: HelperType): boolean => t.element.startsWith('i');

/** A cast of a vector or scalar to the type's integer bits, and back. */
const bits: Snippet = (name, t) =>
  t.lanes === 1
    ? `${inline} ${t.mask} ${name}(${t.type} x) { union { ${t.type} f; ${t.mask} i; } u = { .f = x }; return u.i; }`
    : `${inline} ${t.mask} ${name}(${t.type} x) { return (${t.mask})x; }`;
const fromBits: Snippet = (name, t) =>
  t.lanes === 1
    ? `${inline} ${t.type} ${name}(${t.mask} x) { union { ${t.mask} i; ${t.type} f; } u = { .i = x }; return u.f; }`
    : `${inline} ${t.type} ${name}(${t.mask} x) { return (${t.type})x; }`;

const compare = (operator: string): Snippet => (name, t) =>
  t.lanes === 1
    ? `${inline} ${t.mask} ${name}(${t.type} a, ${t.type} b) { return (${t.mask})-(a ${operator} b); }`
    : `${inline} ${t.mask} ${name}(${t.type} a, ${t.type} b) { return (${t.mask})(a ${operator} b); }`;

/**
 * AVX-512's repair of results by the class of an operand, in one instruction: lanes of `result` where `operand` is of a class in `table`
 * become what it says there (Intel SDM, VFIXUPIMMPS). null where the vectors have another size.
 */
function fixup(t: HelperType, s: HelperScope, result: string, operand: string, table: string): { readonly condition: string; readonly statement: string } | null {
  const bytes = widthOf(t.element) * t.lanes;
  if (t.lanes === 1 || ![16, 32, 64].includes(bytes)) return null;
  return {
    condition: `defined(${bytes === 64 ? '__AVX512F__' : '__AVX512VL__'})`,
    statement: `__asm__("vfixupimmp${t.element === 'f32' ? 's' : 'd'} $0, %2, %1, %0" : "+v"(${result}) : "v"(${operand}), "v"(${s.use('broadcast', t.element === 'f32' ? 'i32' : 'i64', t.lanes)}(${table})));`,
  };
}
/** NaN becomes the operand's NaN; everything else stays. */
const ofNaN = '0x22';
/** NaN, zeros and infinities become the operand; everything else stays. */
const ofSpecials = '0x110122';

/** q, or q + e · r where e is a remainder: neither nothing nor NaN. */
function corrected(t: HelperType, s: HelperScope): string {
  const remains = `${s.use('gt', t.element, t.lanes)}(e * e, ${t.lanes === 1 ? '0' : `${s.use('broadcast', t.element, t.lanes)}(0)`})`;
  const general = `return ${s.use('select', t.element, t.lanes)}(${remains}, q + e * r, q);`;
  const repaired = fixup(t, s, 'y', 'q', ofSpecials);
  if (repaired === null) return general;
  return `
#if ${repaired.condition}
    ${t.type} y = q + e * r;
    ${repaired.statement}
    return y;
#else
    ${general}
#endif`;
}

/**
 * a / b by r = 1 / b (rounded): the product, then one step of correction by its remainder, which a fused multiply-add gives
 * exactly (P. Markstein, IA-64 and Elementary Functions, 2000). Nothing to correct, infinities and NaNs: the product.
 */
const divide: Snippet = (name, t, s) => `${inline} ${t.type} ${name}(${t.type} a, ${t.element} b, ${t.element} r) {
#if defined(__FMA__) || defined(__aarch64__)
  const ${t.type} q = a * r, e = a - q * b;
  ${corrected(t, s)}
#else
  return a / b;
#endif
}`;

/**
 * a / b where b is the same for many a: like `divide`, by the reciprocal, unless b is so large or small that corrections
 * would not be exact. Compilers take the reciprocal and the test out of loops.
 */
const divideBy: Snippet = (name, t, s) => `${inline} ${t.type} ${name}(${t.type} a, ${t.element} b) {
#if defined(__FMA__) || defined(__aarch64__)
  const ${t.element} size = b < 0 ? -b : b, r = 1 / b;
  if (size >= 0x1p-40f && size <= 0x1p40f) {
    const ${t.type} q = a * r, e = a - q * b;
    ${corrected(t, s)}
  }
#endif
  return a / b;
}`;

/** Division without traps: by 0 gives 0, and the least integer by −1 wraps. */
const truncdiv: Snippet = (name, t) =>
  signed(t)
    ? `${inline} ${t.type} ${name}(${t.type} a, ${t.type} b) { return b == 0 ? 0 : b == -1 ? (${t.type})(0 - (u64)a) : (${t.type})(a / b); }`
    : `${inline} ${t.type} ${name}(${t.type} a, ${t.type} b) { return b == 0 ? 0 : (${t.type})(a / b); }`;
const truncmod: Snippet = (name, t) =>
  `${inline} ${t.type} ${name}(${t.type} a, ${t.type} b) { return b == 0${signed(t) ? ' || b == -1' : ''} ? 0 : (${t.type})(a % b); }`;
const floordiv: Snippet = (name, t, s) => {
  const trunc = s.use('truncdiv', t.element, 1);
  if (!signed(t)) return `${inline} ${t.type} ${name}(${t.type} a, ${t.type} b) { return ${trunc}(a, b); }`;
  const rest = s.use('truncmod', t.element, 1);
  return `${inline} ${t.type} ${name}(${t.type} a, ${t.type} b) { return (${t.type})(${trunc}(a, b) - (${rest}(a, b) != 0 && (a < 0) != (b < 0))); }`;
};
const mod: Snippet = (name, t, s) => {
  const rest = s.use('truncmod', t.element, 1);
  if (!signed(t)) return `${inline} ${t.type} ${name}(${t.type} a, ${t.type} b) { return ${rest}(a, b); }`;
  return `${inline} ${t.type} ${name}(${t.type} a, ${t.type} b) { const ${t.type} r = ${rest}(a, b); return (${t.type})(r != 0 && (a < 0) != (b < 0) ? r + b : r); }`;
};

/** Shifts by the width or more give 0, or copies of the sign. */
const shl: Snippet = (name, t) => {
  const width = widthOf(t.element) * 8;
  return `${inline} ${t.type} ${name}(${t.type} a, ${t.type} b) { return (u64)b >= ${width} ? 0 : (${t.type})((u64)a << b); }`;
};
const shr: Snippet = (name, t) => {
  const width = widthOf(t.element) * 8;
  const far = signed(t) ? '(a < 0 ? -1 : 0)' : '0';
  return `${inline} ${t.type} ${name}(${t.type} a, ${t.type} b) { return (u64)b >= ${width} ? ${far} : (${t.type})(a >> b); }`;
};
const popcount: Snippet = (name, t) =>
  `${inline} ${t.type} ${name}(${t.type} a) { return (${t.type})__builtin_popcountll((u64)(u${widthOf(t.element) * 8})a); }`;

/** Integer powers, wrapping; a negative exponent gives the truncated quotient 1 / a^−b. */
const power: Snippet = (name, t) => `${inline} ${t.type} ${name}(${t.type} a, ${t.type} b) {
${signed(t) ? '  if (b < 0) return a == 1 ? 1 : a == -1 ? (b & 1 ? -1 : 1) : 0;\n' : ''}  u64 r = 1, x = (u64)a;
  for (u64 n = (u64)b; n; n >>= 1, x *= x) if (n & 1) r *= x;
  return (${t.type})r;
}`;

/** Minimum and maximum: on floats NaN where either is NaN. */
const extreme = (operator: '<' | '>'): Snippet => (name, t, s) => {
  const select = s.use('select', t.element, t.lanes);
  const less = s.use(operator === '<' ? 'lt' : 'gt', t.element, t.lanes);
  if (!t.element.startsWith('f')) return `${inline} ${t.type} ${name}(${t.type} a, ${t.type} b) { return ${select}(${less}(a, b), a, b); }`;
  const differs = s.use('ne', t.element, t.lanes);
  const ofNumber = s.use(operator === '<' ? 'min_number' : 'max_number', t.element, t.lanes);
  const head = `${inline} ${t.type} ${name}(${t.type} a, ${t.type} b)`;
  if (t.lanes === 1) {
    // Compilers make a jump of the comparison, which nobody can predict.
    return `${head} {
#if defined(__AVX__)
  ${t.type} r;
  __asm__("v${operator === '<' ? 'min' : 'max'}s${t.element === 'f32' ? 's' : 'd'} %2, %1, %0" : "=x"(r) : "x"(a), "x"(b));
  return a != a ? a : r;
#else
  return ${select}(${differs}(a, a), a, ${ofNumber}(a, b));
#endif
}`;
  }
  const general = `return ${select}(${differs}(a, a), a, ${ofNumber}(a, b));`;
  // The instruction gives b where either is NaN.
  const repaired = fixup(t, s, 'r', 'a', ofNaN);
  if (repaired === null) return `${head} { ${general} }`;
  return `${head} {
#if ${repaired.condition}
  ${t.type} r = ${ofNumber}(a, b);
  ${repaired.statement}
  return r;
#else
  ${general}
#endif
}`;
};
/**
 * The same where `a` is known not to be NaN. x86 has it as one instruction, which gives its second operand unless the
 * comparison holds; compilers do not find it behind operations on bits.
 */
const extremeOfNumber = (operator: '<' | '>'): Snippet => (name, t, s) => {
  const head = `${inline} ${t.type} ${name}(${t.type} a, ${t.type} b)`;
  const general = `return ${s.use('select', t.element, t.lanes)}(${s.use(operator === '<' ? 'lt' : 'gt', t.element, t.lanes)}(a, b), a, b);`;
  const bytes = widthOf(t.element) * t.lanes;
  if (t.lanes === 1 || ![16, 32, 64].includes(bytes)) return `${head} { ${general} }`;
  const instruction = `v${operator === '<' ? 'min' : 'max'}p${t.element === 'f32' ? 's' : 'd'}`;
  return `${head} {
#if defined(${bytes === 64 ? '__AVX512F__' : '__AVX__'})
  ${t.type} r;
  __asm__("${instruction} %2, %1, %0" : "=v"(r) : "v"(a), "v"(b));
  return r;
#else
  ${general}
#endif
}`;
};

/** A bitwise choice: `mask` holds −1 or 0 in every lane. */
const select: Snippet = (name, t, s) => {
  const head = `${inline} ${t.type} ${name}(${t.mask} m, ${t.type} a, ${t.type} b)`;
  if (!t.element.startsWith('f')) return `${head} { return (${t.type})((m & (${t.mask})a) | (~m & (${t.mask})b)); }`;
  const toBits = s.use('bits', t.element, t.lanes);
  return `${head} { return ${s.use('from_bits', t.element, t.lanes)}((m & ${toBits}(a)) | (~m & ${toBits}(b))); }`;
};

const broadcast: Snippet = (name, t) =>
  t.lanes === 1
    ? `${inline} ${t.type} ${name}(${t.element} x) { return x; }`
    : `${inline} ${t.type} ${name}(${t.element} x) { return (${t.type}){${Array.from({ length: t.lanes }, () => 'x').join(', ')}}; }`;
const iota: Snippet = (name, t) =>
  `${inline} ${t.type} ${name}(${t.element} x) { return (${t.type}){${Array.from({ length: t.lanes }, (_, l) => `x + ${l}`).join(', ')}}; }`;

const all: Snippet = (name, t) =>
  `${inline} bool ${name}(${t.type} m) { ${t.element} r = -1; for (int l = 0; l < ${t.lanes}; l++) r &= m[l]; return r != 0; }`;
const any: Snippet = (name, t) =>
  `${inline} bool ${name}(${t.type} m) { ${t.element} r = 0; for (int l = 0; l < ${t.lanes}; l++) r |= m[l]; return r != 0; }`;

/** Float to integer: truncates, saturates, NaN gives 0. */
function saturate(to: string): Snippet {
  return (name, t, s) => {
    const from = t.element;
    const target = s.vector(to, t.lanes);
    const bitsOfTarget = widthOf(to) * 8;
    const unsigned = to.startsWith('u');
    // The first float above the range, which is a power of two.
    const above = `0x1p${unsigned ? bitsOfTarget : bitsOfTarget - 1}${from === 'f32' ? 'f' : ''}`;
    const below = unsigned ? '0' : `-${above}`;
    const { min, max } = integerLimits(to);
    const scalar = (x: string): string => `${x} != ${x} ? 0 : ${x} >= ${above} ? ${max} : ${x} < ${below} ? ${min} : (${to})${x}`;
    if (t.lanes === 1) return `${inline} ${to} ${name}(${from} x) { return ${scalar('x')}; }`;
    if (bitsOfTarget >= 32 && to !== 'i32') return perLane(name, target, [[t.type, 'x']], t.lanes, (arg) => scalar(arg('x')));
    // Out of range lanes are made harmless before the conversion and put right after it.
    const wide = s.vector('i32', t.lanes);
    const choose = s.use('select', from, t.lanes);
    const bound = s.use('broadcast', from, t.lanes);
    const ge = s.use('ge', from, t.lanes);
    const lt = s.use('lt', from, t.lanes);
    const ne = s.use('ne', from, t.lanes);
    const maskOfWide = (mask: string): string => (widthOf(from) === 4 ? mask : `__builtin_convertvector(${mask}, ${wide})`);
    return `${inline} ${target} ${name}(${t.type} x) {
  const ${t.mask} high = ${ge}(x, ${bound}(${above})), low = ${lt}(x, ${bound}(${below})), nan = ${ne}(x, x);
  const ${wide} v = __builtin_convertvector(${choose}(high | low | nan, ${bound}(0), x), ${wide});
  const ${wide} h = ${maskOfWide('high')}, l = ${maskOfWide('low')};
  return __builtin_convertvector((v & ~(h | l)) | (h & ${max}) | (l & ${min}), ${target});
}`;
  };
}
const saturations: { readonly [name: string]: Snippet } = Object.fromEntries(
  ['i8', 'i16', 'i32', 'i64', 'u8', 'u16', 'u32', 'u64'].map((to) => [`to_${to}`, saturate(to)]),
);

/** IEEE half precision, by integer arithmetic: correct on machines without conversion instructions. */
const fromF16: Snippet = (name, t, s) => {
  const i = s.vector('i32', t.lanes);
  const f = s.vector('f32', t.lanes);
  const b = s.use('from_bits', 'f32', t.lanes);
  const choose = s.use('select', 'i32', t.lanes);
  const lt = s.use('lt', 'i32', t.lanes);
  const ge = s.use('ge', 'i32', t.lanes);
  const k = s.use('broadcast', 'i32', t.lanes);
  const toBits = s.use('bits', 'f32', t.lanes);
  const convert = t.lanes === 1 ? (x: string, type: string) => `(${type})(${x})` : (x: string, type: string) => `__builtin_convertvector(${x}, ${type})`;
  return `${inline} ${f} ${name}(${t.type} h) {
  const ${i} x = ${convert('h', i)}, m = x & 0x7fff;
  const ${i} normal = (m << 13) + (112 << 23) + (${ge}(m, ${k}(0x7c00)) & (112 << 23));
  const ${i} tiny = ${toBits}(${convert('m', f)} * 0x1p-24f);
  return ${b}(${choose}(${lt}(m, ${k}(0x400)), tiny, normal) | ((x & 0x8000) << 16));
}`;
};
/** Rounds to nearest even; overflow gives infinity. */
const toF16: Snippet = (name, t, s) => {
  const i = s.vector('i32', t.lanes);
  const u = s.vector('u16', t.lanes);
  const toBits = s.use('bits', 'f32', t.lanes);
  const b = s.use('from_bits', 'f32', t.lanes);
  const choose = s.use('select', 'i32', t.lanes);
  const lt = s.use('lt', 'i32', t.lanes);
  const gt = s.use('gt', 'i32', t.lanes);
  const ge = s.use('ge', 'i32', t.lanes);
  const k = s.use('broadcast', 'i32', t.lanes);
  const convert = t.lanes === 1 ? `(u16)(r)` : `__builtin_convertvector(r, ${u})`;
  return `${inline} ${u} ${name}(${t.type} x) {
  const ${i} w = ${toBits}(x), m = w & 0x7fffffff;
  const ${i} normal = (m - (112 << 23) + 0xfff + ((m >> 13) & 1)) >> 13;
  const ${i} tiny = ${toBits}(${b}(m) + 0.5f) - 0x3f000000;
  const ${i} large = 0x7c00 | (${gt}(m, ${k}(0x7f800000)) & 0x200);
  const ${i} r = ${choose}(${ge}(m, ${k}(0x47800000)), large, ${choose}(${lt}(m, ${k}(0x38800000)), tiny, normal)) | ((w >> 16) & 0x8000);
  return ${convert};
}`;
};
const fromBF16: Snippet = (name, t, s) => {
  const i = s.vector('i32', t.lanes);
  const convert = t.lanes === 1 ? '(i32)h' : `__builtin_convertvector(h, ${i})`;
  return `${inline} ${s.vector('f32', t.lanes)} ${name}(${t.type} h) { return ${s.use('from_bits', 'f32', t.lanes)}(${convert} << 16); }`;
};
const toBF16: Snippet = (name, t, s) => {
  const i = s.vector('i32', t.lanes);
  const u = s.vector('u16', t.lanes);
  const choose = s.use('select', 'i32', t.lanes);
  const gt = s.use('gt', 'i32', t.lanes);
  const k = s.use('broadcast', 'i32', t.lanes);
  const convert = t.lanes === 1 ? '(u16)r' : `__builtin_convertvector(r, ${u})`;
  return `${inline} ${u} ${name}(${t.type} x) {
  const ${i} w = ${s.use('bits', 'f32', t.lanes)}(x);
  const ${i} rounded = (w + 0x7fff + ((w >> 16) & 1)) >> 16, nan = (w >> 16) | 0x40;
  const ${i} r = ${choose}(${gt}(w & 0x7fffffff, ${k}(0x7f800000)), nan, rounded) & 0xffff;
  return ${convert};
}`;
};
/** f64 to f32 rounding to odd, so that a second rounding to half precision is as if there was only one. */
const oddF32: Snippet = (name, t) =>
  t.lanes === 1
    ? `${inline} f32 ${name}(f64 x) {
  union { f32 f; i32 i; } u = { .f = (f32)x };
  if (u.f == u.f && (f64)u.f != x && (u.i & 1) == 0) {
    const bool beyond = u.f < 0 ? (f64)u.f < x : (f64)u.f > x;
    u.i += beyond ? -1 : 1;
  }
  return u.f;
}`
    : perLane(name, `f32x${t.lanes}`, [[t.type, 'x']], t.lanes, (arg) => `tn_odd_f32_f64(${arg('x')})`);

const roundHalf = (to: string, from: string): Snippet => (name, t, s) =>
  `${inline} ${t.type} ${name}(${t.type} x) { return ${s.use(from, 'u16', t.lanes)}(${s.use(to, 'f32', t.lanes)}(x)); }`;

/** All helpers by name. */
export const snippets: { readonly [name: string]: Snippet } = {
  bits, from_bits: fromBits, select, broadcast, iota, all, any,
  lt: compare('<'), le: compare('<='), gt: compare('>'), ge: compare('>='), eq: compare('=='), ne: compare('!='),
  min: extreme('<'), max: extreme('>'), min_number: extremeOfNumber('<'), max_number: extremeOfNumber('>'),
  truncdiv: lanewise('truncdiv', truncdiv, 2), truncmod: lanewise('truncmod', truncmod, 2),
  floordiv: lanewise('floordiv', floordiv, 2), mod: lanewise('mod', mod, 2),
  divide, divide_by: divideBy, power: lanewise('power', power, 2),
  shl: lanewise('shl', shl, 2), shr: lanewise('shr', shr, 2), popcount: lanewise('popcount', popcount, 1),
  ...saturations,
  from_f16: fromF16, to_f16: toF16, from_bf16: fromBF16, to_bf16: toBF16,
  round_f16: roundHalf('to_f16', 'from_f16'), round_bf16: roundHalf('to_bf16', 'from_bf16'),
  odd_f32: (name, t, s) => {
    if (t.lanes > 1) {
      s.use('odd_f32', 'f64', 1);
      s.vector('f32', t.lanes);
    }
    return oddF32(name, t, s);
  },
  ...mathSnippets,
};
