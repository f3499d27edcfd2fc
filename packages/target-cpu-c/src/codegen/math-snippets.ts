import { inline, type HelperScope, type HelperType, type Snippet } from './helper.ts';

const literal = (t: HelperType, value: string): string => (t.element === 'f32' ? `${value}f` : value);

/** A function of the C library or a compiler builtin, lane by lane; GCC turns loops over builtins such as sqrt into vector instructions. */
const library = (fn: string, operands: 1 | 2 = 1): Snippet => (name, t) => {
  const callee = `__builtin_${fn}${t.element === 'f32' ? 'f' : ''}`;
  const params = ['a', 'b'].slice(0, operands);
  const head = `${inline} ${t.type} ${name}(${params.map((p) => `${t.type} ${p}`).join(', ')})`;
  if (t.lanes === 1) return `${head} { return ${callee}(${params.join(', ')}); }`;
  return `${head} { ${t.type} r; for (int l = 0; l < ${t.lanes}; l++) r[l] = ${callee}(${params.map((p) => `${p}[l]`).join(', ')}); return r; }`;
};

/** The polynomial of f32, the C library for f64. */
const single = (fn: string, f32: Snippet): Snippet => (name, t, s) => (t.element === 'f32' ? f32 : library(fn))(name, t, s);

const abs: Snippet = (name, t, s) =>
  t.element.startsWith('f')
    ? `${inline} ${t.type} ${name}(${t.type} x) { return ${s.use('from_bits', t.element, t.lanes)}(${s.use('bits', t.element, t.lanes)}(x) & ${t.element === 'f32' ? '0x7fffffff' : '0x7fffffffffffffffLL'}); }`
    : t.element.startsWith('u')
      ? `${inline} ${t.type} ${name}(${t.type} x) { return x; }`
      : `${inline} ${t.type} ${name}(${t.type} x) { return ${s.use('select', t.element, t.lanes)}(${s.use('lt', t.element, t.lanes)}(x, ${s.use('broadcast', t.element, t.lanes)}(0)), (${t.type})(0 - x), x); }`;

/** −1, 0 or 1; NaN stays NaN and a zero keeps its sign. */
const sign: Snippet = (name, t, s) => {
  const k = s.use('broadcast', t.element, t.lanes);
  const select = s.use('select', t.element, t.lanes);
  const gt = s.use('gt', t.element, t.lanes);
  const lt = s.use('lt', t.element, t.lanes);
  const zero = `${k}(0)`;
  if (t.element.startsWith('u')) return `${inline} ${t.type} ${name}(${t.type} x) { return ${select}(${s.use('ne', t.element, t.lanes)}(x, ${zero}), ${k}(1), ${zero}); }`;
  return `${inline} ${t.type} ${name}(${t.type} x) { return ${select}(${gt}(x, ${zero}), ${k}(1), ${select}(${lt}(x, ${zero}), ${k}(-1), x)); }`;
};

const rsqrt: Snippet = (name, t, s) => `${inline} ${t.type} ${name}(${t.type} x) { return ${literal(t, '1.0')} / ${s.use('sqrt', t.element, t.lanes)}(x); }`;

const f32Tools = (t: HelperType, s: HelperScope) => ({
  k: s.use('broadcast', 'f32', t.lanes),
  bits: s.use('bits', 'f32', t.lanes),
  fromBits: s.use('from_bits', 'f32', t.lanes),
  select: s.use('select', 'f32', t.lanes),
  lt: s.use('lt', 'f32', t.lanes),
  gt: s.use('gt', 'f32', t.lanes),
  eq: s.use('eq', 'f32', t.lanes),
  ne: s.use('ne', 'f32', t.lanes),
  toInt: (x: string): string => (t.lanes === 1 ? `(i32)(${x})` : `__builtin_convertvector(${x}, ${t.mask})`),
  toFloat: (x: string): string => (t.lanes === 1 ? `(f32)(${x})` : `__builtin_convertvector(${x}, ${t.type})`),
});

/**
 * e^x, at most 1.2 ulp. x = n ln 2 + r with |r| ≤ ln 2 / 2; the polynomial is that of Cephes' expf. AVX-512 scales by 2^n in
 * one instruction, and lets NaNs through; elsewhere 2^n is multiplied in two halves, so that results may be subnormal.
 */
const exp: Snippet = (name, t, s) => {
  const { k, select, ne, fromBits, toInt } = f32Tools(t, s);
  const head = `${inline} ${t.type} ${name}(${t.type} a) {`;
  const reduced = (clamped: string): string => `  const ${t.type} x = ${clamped};
  const ${t.type} n = (x * 1.44269504f + 12582912.0f) - 12582912.0f;
  const ${t.type} h = x - n * 0.693359375f, r = h - n * -2.12194440e-4f;
  ${t.type} p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f; p = p * r + 4.1665795894e-2f; p = p * r + 1.6666665459e-1f; p = p * r + 5.0000001201e-1f;
  p = p * r + 1.0f; p = p * r + 1.0f;`;
  const clamped = `${s.use('min_number', 'f32', t.lanes)}(${k}(89.0f), ${s.use('max_number', 'f32', t.lanes)}(${k}(-104.0f), a))`;
  const general = `${reduced(`${select}(${ne}(a, a), ${k}(0), ${clamped})`)}
  const ${t.mask} i = ${toInt('n')}, i1 = i >> 1, i2 = i - i1;
  const ${t.type} y = p * ${fromBits}((i1 + 127) << 23) * ${fromBits}((i2 + 127) << 23);
  return ${select}(${ne}(a, a), a, y);`;
  if (t.lanes < 4) return `${head}\n${general}\n}`;
  return `${head}
#if defined(${t.lanes === 16 ? '__AVX512F__' : '__AVX512VL__'})
${reduced(clamped)}
  ${t.type} y;
  __asm__("vscalefps %2, %1, %0" : "=v"(y) : "v"(p), "v"(n));
  return y;
#else
${general}
#endif
}`;
};

/** ln x, at most 1 ulp (Cephes' logf). x = 2^e · m with m in √½ … √2. */
const log: Snippet = (name, t, s) => {
  const { k, select, lt, eq, bits, fromBits, toFloat } = f32Tools(t, s);
  return `${inline} ${t.type} ${name}(${t.type} a) {
  const ${t.mask} tiny = ${lt}(a, ${k}(1.17549435e-38f));
  const ${t.mask} i = ${bits}(${select}(tiny, a * 8388608.0f, a)), e = (i - 0x3f3504f3) >> 23;
  const ${t.type} f = ${fromBits}(i - (e << 23)) - 1.0f, z = f * f, n = ${toFloat('e - (tiny & 23)')};
  ${t.type} p = f * 7.0376836292e-2f - 1.1514610310e-1f;
  p = p * f + 1.1676998740e-1f; p = p * f - 1.2420140846e-1f; p = p * f + 1.4249322787e-1f; p = p * f - 1.6668057665e-1f;
  p = p * f + 2.0000714765e-1f; p = p * f - 2.4999993993e-1f; p = p * f + 3.3333331174e-1f; p = p * f; p = p * z;
  p = n * -2.12194440e-4f + p; p = z * -0.5f + p;
  const ${t.type} y = n * 0.693359375f + (f + p), inf = ${k}(__builtin_inff());
  const ${t.type} special = ${select}(${eq}(a, ${k}(0)), -inf, ${select}(${lt}(a, ${k}(0)), ${k}(__builtin_nanf("")), a));
  return ${select}(${lt}(${k}(0), a) & ${lt}(a, inf), y, special);
}`;
};

/** tanh x, at most 2 ulp: an odd polynomial near 0, 1 − 2 / (e^2|x| + 1) elsewhere (Cephes' tanhf). */
const tanh: Snippet = (name, t, s) => {
  const { k, select, lt, bits, fromBits } = f32Tools(t, s);
  return `${inline} ${t.type} ${name}(${t.type} x) {
  const ${t.type} a = ${s.use('abs', 'f32', t.lanes)}(x), z = x * x;
  ${t.type} p = z * -5.70498872745e-3f + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f; p = p * z + 1.33314422036e-1f; p = p * z - 3.33332819422e-1f; p = p * z;
  const ${t.type} small = p * x + x;
  const ${t.type} large = 1.0f - 2.0f / (${s.use('exp', 'f32', t.lanes)}(a + a) + 1.0f);
  return ${fromBits}(${bits}(${select}(${lt}(a, ${k}(0.625f)), small, large)) | (${bits}(x) & (i32)0x80000000));
}`;
};

/**
 * erf x, at most 2.5e-7 off (4.5 ulp): x · P(t) on [−3.92, 3.92], t = x² · 2 / 3.92² − 1, where P is the Chebyshev expansion of
 * erf(√z) / √z to degree 15, written in powers of t (4e-8 off) and summed in two chains. Beyond, erf rounds to ±1.
 */
const erf: Snippet = (name, t, s) => {
  const { k } = f32Tools(t, s);
  const within = (x: string, bound: string): string => `${s.use('min_number', 'f32', t.lanes)}(${k}(${bound}), ${s.use('max_number', 'f32', t.lanes)}(${k}(-${bound}), ${x}))`;
  return `${inline} ${t.type} ${name}(${t.type} a) {
  const ${t.type} x = ${within('a', '3.92f')}, u = x * x * 0.130154102f - 1.0f, w = u * u;
  ${t.type} even = w * 0.00212785818f + (0.00182033042f); even = even * w + (0.014343502f); even = even * w + (0.029609212f); even = even * w + (0.0584258272f); even = even * w + (0.0905922123f); even = even * w + (0.134084837f); even = even * w + (0.360736809f);
  ${t.type} odd = w * -0.000939271921f + (-0.00104527798f); odd = odd * w + (-0.00817048325f); odd = odd * w + (-0.0196174901f); odd = odd * w + (-0.0435857343f); odd = odd * w + (-0.0739898904f); odd = odd * w + (-0.109181854f); odd = odd * w + (-0.180108562f);
  const ${t.type} y = x * (odd * u + even);
  return ${within('y', '1.0f')};
}`;
};

/** Mathematical functions by intrinsic name, for f32 and f64. */
export const mathSnippets: { readonly [name: string]: Snippet } = {
  exp: single('exp', exp), log: single('log', log), tanh: single('tanh', tanh), erf: single('erf', erf),
  sqrt: library('sqrt'), rsqrt, abs, sign,
  floor: library('floor'), ceil: library('ceil'), trunc: library('trunc'), round: library('rint'),
  sin: library('sin'), cos: library('cos'), tan: library('tan'), asin: library('asin'), acos: library('acos'), atan: library('atan'),
  sinh: library('sinh'), cosh: library('cosh'), asinh: library('asinh'), acosh: library('acosh'), atanh: library('atanh'),
  pow: library('pow', 2), fmod: library('fmod', 2),
};
