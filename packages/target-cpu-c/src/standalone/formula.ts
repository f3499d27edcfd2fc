import type { DimProgram } from '@tenon/artifact';

const functions: { readonly [op: string]: string } = {
  floordiv: 'floor_div', mod: 'floor_mod', truncdiv: 'trunc_div', truncmod: 'trunc_mod', min: 'min_of', max: 'max_of',
};
const infix: { readonly [op: string]: string } = { '+': '+', '-': '-', '*': '*', eq: '==', ne: '!=', lt: '<', le: '<=', and: '&&', or: '||' };

/** A formula as a C expression of `int64_t`; `nameOf` gives the C expression of a dim. */
export function formulaInC(program: DimProgram, nameOf: (dim: string) => string): string {
  const stack: string[] = [];
  for (const item of program) {
    if (typeof item === 'number') stack.push(`INT64_C(${item})`);
    else if (item.startsWith('$')) stack.push(nameOf(item.slice(1)));
    else if (item === 'not') stack.push(`!${stack.pop()!}`);
    else if (item === 'select') {
      const [condition, then, otherwise] = stack.splice(-3) as [string, string, string];
      stack.push(`(${condition} ? ${then} : ${otherwise})`);
    } else {
      const [a, b] = stack.splice(-2) as [string, string];
      stack.push(functions[item] === undefined ? `(${a} ${infix[item]!} ${b})` : `${functions[item]}(${a}, ${b})`);
    }
  }
  return stack[0]!;
}

/** C functions that formulas use. */
export const formulaFunctions = `static inline int64_t trunc_div(int64_t a, int64_t b) { return b == 0 ? 0 : a / b; }
static inline int64_t trunc_mod(int64_t a, int64_t b) { return b == 0 ? 0 : a % b; }
static inline int64_t floor_mod(int64_t a, int64_t b) { const int64_t r = trunc_mod(a, b); return r != 0 && (r < 0) != (b < 0) ? r + b : r; }
static inline int64_t floor_div(int64_t a, int64_t b) { return trunc_div(a - floor_mod(a, b), b); }
static inline int64_t min_of(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t max_of(int64_t a, int64_t b) { return a > b ? a : b; }`;
