/** Makes a module of a model: one call of an operator per line. Types come from the operators' inference. */
import { diagnosticOf, TenonError, type ByteSource, type Context, type ExprLike, type ImportOptions, type IRModule, type Value } from '@tenon/plugin';
import { parse, refuse, type Statement } from './parse.ts';

/** What the format calls an operator, and what Tenon calls it. */
const operators: { readonly [name: string]: string } = {
  add: 'math.add', sub: 'math.sub', mul: 'math.mul', div: 'math.div', matmul: 'nn.matmul', relu: 'nn.relu', sigmoid: 'math.sigmoid', tanh: 'math.tanh', softmax: 'nn.softmax',
};
const dtypes = ['f32', 'f64', 'i32', 'i64'];
/** Models in text are small; whatever is larger is something else. */
const largest = 64e6;

export async function importModel(source: ByteSource, ctx: Context, options: ImportOptions): Promise<IRModule> {
  const file = source.uri;
  if (source.bytes > largest) ctx.fail({ code: 'acme/too-large', message: `${file} has ${source.bytes} bytes; a model has ${largest} at most` });
  const statements = parse(file, decode(file, await source.read(0, source.bytes)));

  const module = ctx.module();
  const axis = (size: number | string): ExprLike => {
    if (typeof size === 'number') return size;
    const given = options.dims[size] ?? {};
    return typeof given === 'number' ? given : module.dim({ name: size, min: 1, ...given });
  };
  const dtypeOf = (s: Extract<Statement, { readonly dtype: string }>): string =>
    dtypes.includes(s.dtype) ? s.dtype : refuse(file, s, 'dtype', `there is no dtype ${s.dtype}`, `There are ${dtypes.join(', ')}.`);
  const inputs = statements.filter((s) => s.kind === 'input');
  const main = module.graph('main', inputs.map((s) => ({ name: s.name, type: ctx.types.tensor(dtypeOf(s), s.shape.map(axis)) })));

  const values = new Map<string, Value>();
  const define = (s: Extract<Statement, { readonly name: string }>, value: Value): void => {
    if (values.has(s.name)) refuse(file, s, 'defined-twice', `${s.name} is defined twice`);
    values.set(s.name, value);
  };
  const valueOf = (s: Statement, name: string): Value => values.get(name) ?? refuse(file, s, 'unknown-value', `${name} is not defined above`);
  const outputs = new Map<string, Value>();
  inputs.forEach((s, i) => define(s, main.params[i]!));
  for (const s of statements) {
    switch (s.kind) {
      case 'input': break;
      case 'constant': {
        if (s.dtype.startsWith('i') && !s.values.every(Number.isSafeInteger)) refuse(file, s, 'dtype', `${s.name} has elements that are no integers`);
        define(s, module.constant(s.name, ctx.types.tensor(dtypeOf(s), s.shape), { kind: 'inline', values: s.values }));
        break;
      }
      case 'call': {
        if (!Object.hasOwn(operators, s.operator)) refuse(file, s, 'unknown-operator', `there is no operator ${s.operator}`, `There are ${Object.keys(operators).join(', ')}.`);
        main.loc = s.name;
        define(s, at(file, s, () => main.call(operators[s.operator]!, s.args.map((arg) => valueOf(s, arg)))));
        break;
      }
      case 'output': outputs.set(s.name, valueOf(s, s.name));
    }
  }
  if (outputs.size === 0) refuse(file, { line: 1, excerpt: '' }, 'no-output', 'the model has no output', 'Add a line `output NAME`.');
  main.finish([...outputs.values()], [...outputs.keys()]);
  return module.finish();
}

function decode(file: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return refuse(file, { line: 1, excerpt: '' }, 'no-model', 'it is no text in UTF-8');
  }
}

/** What inference refuses, with the line that asked for it. */
function at<T>(file: string, { line, excerpt }: Statement, body: () => T): T {
  try {
    return body();
  } catch (cause) {
    const found = diagnosticOf(cause);
    if (found === null) throw cause;
    throw new TenonError({ ...found, message: `${file}:${line}: ${found.message}`, text: found.text ?? { file, line, column: 1, excerpt } }, { cause });
  }
}
