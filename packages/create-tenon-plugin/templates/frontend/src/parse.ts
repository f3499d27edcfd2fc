/**
 * Reads the text of a model, line by line, into statements. A model looks like this:
 *
 *     acme-model 1
 *     input x f32 [batch, 3]
 *     constant w f32 [3, 2] 1 -2 0.5 3 4 -1
 *     h = matmul x w          # what follows a hash is a comment
 *     y = relu h
 *     output y
 */
import { TenonError } from '@tenon/plugin';

export type Statement = { readonly line: number; readonly excerpt: string } & (
  | { readonly kind: 'input'; readonly name: string; readonly dtype: string; readonly shape: readonly (number | string)[] }
  | { readonly kind: 'constant'; readonly name: string; readonly dtype: string; readonly shape: readonly number[]; readonly values: readonly number[] }
  | { readonly kind: 'call'; readonly name: string; readonly operator: string; readonly args: readonly string[] }
  | { readonly kind: 'output'; readonly name: string }
);

export const firstLine = 'acme-model 1';

/** Refuses a model at a line of it: with a code that never changes, and what to do about it. */
export function refuse(file: string, { line, excerpt }: { readonly line: number; readonly excerpt: string }, code: string, message: string, hint: string | null = null): never {
  throw new TenonError({ code: `acme/${code}`, message: `${file}:${line}: ${message}`, hint, text: { file, line, column: 1, excerpt } });
}

export function parse(file: string, text: string): readonly Statement[] {
  const lines = text.split(/\r?\n/).map((excerpt, i) => ({ line: i + 1, excerpt, code: excerpt.replace(/#.*/, '').trim() }));
  const [head, ...rest] = lines;
  if (head!.code !== firstLine) refuse(file, head!, 'no-model', `the first line must be \`${firstLine}\``);
  return rest.filter(({ code }) => code !== '').map((place) => ({ line: place.line, excerpt: place.excerpt, ...parseLine(file, place) }) as Statement);
}

const name = String.raw`[A-Za-z_]\w*`;
const shape = String.raw`\[([^\]]*)\]`;
const forms = {
  input: new RegExp(`^input (${name}) (\\w+) ${shape}$`),
  constant: new RegExp(`^constant (${name}) (\\w+) ${shape}((?: [^ ]+)*)$`),
  call: new RegExp(`^(${name}) = (${name})((?: ${name})*)$`),
  output: new RegExp(`^output (${name})$`),
};

function parseLine(file: string, place: { readonly line: number; readonly excerpt: string; readonly code: string }) {
  const code = place.code.replace(/\s+/g, ' ');
  const syntax = (message: string): never => refuse(file, place, 'syntax', message, 'A line is `input NAME DTYPE [SHAPE]`, `constant NAME DTYPE [SHAPE] VALUES…`, `NAME = OPERATOR ARGUMENTS…` or `output NAME`.');
  const axes = (list: string): readonly (number | string)[] => list.split(',').map((axis) => axis.trim()).filter((axis, _, all) => axis !== '' || all.length > 1).map((axis) => {
    if (/^\d{1,9}$/.test(axis)) return Number(axis);
    return new RegExp(`^${name}$`).test(axis) ? axis : syntax(`‘${axis}’ is neither a size nor the name of one`);
  });
  const input = forms.input.exec(code);
  if (input !== null) return { kind: 'input', name: input[1], dtype: input[2], shape: axes(input[3]!) };
  const constant = forms.constant.exec(code);
  if (constant !== null) {
    const sizes = axes(constant[3]!).map((axis) => (typeof axis === 'number' ? axis : syntax(`the sizes of a constant are numbers, not ‘${axis}’`)));
    const values = constant[4]!.split(' ').filter((word) => word !== '').map((word) => (Number.isFinite(Number(word)) ? Number(word) : syntax(`‘${word}’ is no number`)));
    const wanted = sizes.reduce((product, size) => product * size, 1);
    if (values.length !== wanted) syntax(`${constant[1]} has ${values.length} values, and its shape wants ${wanted}`);
    return { kind: 'constant', name: constant[1], dtype: constant[2], shape: sizes, values };
  }
  const call = forms.call.exec(code);
  if (call !== null) return { kind: 'call', name: call[1], operator: call[2], args: call[3]!.split(' ').filter((word) => word !== '') };
  const output = forms.output.exec(code);
  return output !== null ? { kind: 'output', name: output[1] } : syntax('this line means nothing');
}
