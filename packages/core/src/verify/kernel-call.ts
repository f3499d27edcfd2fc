import type { Binding, Buffer, Expr, TensorFunction, TensorType } from '@tenon/plugin';
import { printExpr, printType } from '../text/index.ts';
import type { Verification } from './env.ts';

/**
 * A call of a tensor function: arguments and results agree with its buffers. Its free dims take their values from the
 * arguments' shapes, its scalars from the call.
 */
export function verifyKernelCall(v: Verification, call: Binding, fn: TensorFunction, report: (code: string, message: string) => void): void {
  const { exprs } = v.env;
  if (call.args.length !== fn.inputs.length) return report('operand-count', `the kernel takes ${fn.inputs.length} inputs, found ${call.args.length}`);
  if (call.results.length !== fn.outputs.length) return report('result-count', `the kernel gives ${fn.outputs.length} outputs, found ${call.results.length}`);
  if (call.scalars.length !== fn.scalars.length) return report('kernel-scalars', `the kernel takes ${fn.scalars.length} scalars, found ${call.scalars.length}`);

  const pairs: { readonly buffer: Buffer; readonly type: TensorType; readonly what: string }[] = [];
  const pair = (buffer: Buffer, value: Binding['args'][number], what: string, code: string) => {
    if (value === null) return report('operand-missing', `${what} is left out, and kernels have no optional arguments`);
    const type = value.type.kind === 'state' ? value.type.content : value.type;
    if (type.kind !== 'tensor') report(code, `${what} is no tensor`);
    else if (type.dtype !== buffer.dtype) report(code, `${what} has dtype ${type.dtype}, and the buffer ${buffer.name} has ${buffer.dtype}`);
    else if (type.shape.length !== buffer.shape.length) report(code, `${what} has rank ${type.shape.length}, and the buffer ${buffer.name} has ${buffer.shape.length}`);
    else pairs.push({ buffer, type, what });
  };
  fn.inputs.forEach((buffer, i) => pair(buffer, call.args[i]!, `argument ${i}`, 'operand-type'));
  fn.outputs.forEach((buffer, i) => pair(buffer, call.results[i]!, `result ${i}`, 'result-type'));

  const dims = new Map<string, Expr>();
  fn.scalars.forEach((name, i) => dims.set(name, call.scalars[i]!));
  for (const { buffer, type } of pairs) {
    buffer.shape.forEach((size, axis) => {
      if (size.op === 'var' && !dims.has(String(size.value))) dims.set(String(size.value), exprs.intern(type.shape[axis]!));
    });
  }
  const unbound = new Set<string>();
  for (const { buffer, type, what } of pairs) {
    buffer.shape.forEach((size, axis) => {
      for (const name of exprs.variables(size)) if (!dims.has(name) && !v.module.dims.has(name)) unbound.add(name);
      const expected = exprs.substitute(exprs.intern(size), dims);
      if (v.differ(expected, type.shape[axis]!)) {
        report('kernel-shape', `${what} is ${printType(type)}, and axis ${axis} of the buffer ${buffer.name} is ${printExpr(size)}, here ${printExpr(expected)}`);
      }
    });
  }
  for (const name of unbound) report('unbound-dim', `no argument gives the kernel's dim ${name} its value`);
}
