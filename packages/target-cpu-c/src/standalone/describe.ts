import type { DimInfo, DimProgram, EntryInfo, Instruction, Manifest, RegionVariant } from '@tenon/artifact';
import { TenonError } from '@tenon/plugin';
import { sourceFormat } from './source.ts';

/** A dim that the caller of the C model gives, in the order of the array of dims. */
export interface StandaloneDim extends DimInfo {
  readonly index: number;
  /** What its macro ends in. */
  readonly macro: string;
}

/** An input or output. */
export interface StandalonePort {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly DimProgram[];
  readonly contents: readonly (DimProgram | null)[] | null;
  readonly index: number;
  readonly macro: string;
}

export type Call = Extract<Instruction, { readonly op: 'call' }>;

/** What the files of a standalone model are written from. */
export interface StandaloneModel {
  /** What files, functions and types are called after: a C identifier. */
  readonly name: string;
  /** What macros begin with. */
  readonly upper: string;
  /** Of people: the model that it was made from. */
  readonly origin: string;
  readonly entry: EntryInfo;
  readonly dims: readonly StandaloneDim[];
  readonly inputs: readonly StandalonePort[];
  readonly outputs: readonly StandalonePort[];
  readonly program: readonly Exclude<Instruction, { readonly op: 'dim' | 'branch' | 'loop' }>[];
  /** The code of each region. */
  readonly variants: readonly RegionVariant[];
  /** Formal dims of each region, in the order in which calls give them. */
  readonly regionDims: readonly (readonly string[])[];
  /** Where each constant begins in the file of weights. */
  readonly constantOffsets: readonly number[];
  readonly weightBytes: number;
  /** Tells weights of this model from others: 16 hexadecimal digits. */
  readonly fingerprint: string;
}

/** Before the weights in their file: magic number, version, size, fingerprint. */
export const weightsHeaderBytes = 64;

/** Bytes of an element, and its C type. */
export const elements: { readonly [dtype: string]: readonly [bytes: number, type: string] } = {
  f64: [8, 'double'], f32: [4, 'float'], f16: [2, 'uint16_t'], bf16: [2, 'uint16_t'],
  i64: [8, 'int64_t'], i32: [4, 'int32_t'], i16: [2, 'int16_t'], i8: [1, 'int8_t'],
  u64: [8, 'uint64_t'], u32: [4, 'uint32_t'], u16: [2, 'uint16_t'], u8: [1, 'uint8_t'], bool: [1, 'uint8_t'],
};

/** Keywords of C and C++ that could be meant as names, and the name of the example's file. */
const taken = [
  'auto', 'bool', 'break', 'case', 'char', 'class', 'const', 'continue', 'default', 'delete', 'do', 'double', 'else', 'enum', 'export', 'extern', 'float', 'for', 'friend',
  'goto', 'if', 'inline', 'int', 'long', 'main', 'memory', 'namespace', 'new', 'operator', 'private', 'public', 'register', 'return', 'short', 'signed', 'sizeof', 'static',
  'struct', 'switch', 'template', 'this', 'throw', 'try', 'typedef', 'union', 'unsigned', 'using', 'virtual', 'void', 'volatile', 'while',
];

/** Throws `cpu-c/not-standalone` for what cannot run without the runtime, `cpu-c/standalone-name` for names that C does not allow. */
export function describe(manifest: Manifest, name: string, digest: string): StandaloneModel {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) || name.startsWith('tenon') || taken.includes(name)) {
    throw new TenonError({ code: 'cpu-c/standalone-name', message: `${JSON.stringify(name)} is no name for a C model`, hint: 'use letters, digits and underscores; not a keyword, and nothing that begins with tenon' });
  }
  const entry = manifest.entries[0];
  if (entry === undefined) throw refuse('it has no entry', null);
  for (const region of manifest.regions) {
    const [variant] = region.variants;
    const target = variant === undefined ? null : manifest.blobs[variant.blob]!;
    if (target?.format !== sourceFormat) {
      throw refuse(`region '${region.name}' runs on ${target?.target ?? 'nothing'}, not as C on the processor`, 'compile for cpu-c alone (`--target cpu-c`)');
    }
    if (variant!.guards.length > 0 || region.runDims.length > 0) throw refuse(`region '${region.name}' depends on what is only known while it runs`, 'fix the dims that decide it (`--dim`)');
  }
  const program = entry.program.map((instruction) => {
    if (instruction.op === 'call' || instruction.op === 'copy' || instruction.op === 'return') return instruction;
    throw refuse(`its program has control flow (${instruction.op})`, 'run it with the runtime');
  });
  const macros = (prefix: string) => {
    const taken = new Set<string>();
    return (text: string, index: number): string => {
      let macro = text.replace(/[^A-Za-z0-9]+/g, '_').replace(/^_+|_+$/g, '').toUpperCase() || String(index);
      // `MODEL_INPUT_X_BYTES` is also the name that an input called x_bytes would get.
      if (taken.has(macro) || /_(BYTES|ELEMENTS)$/.test(macro)) macro = `${macro}_${prefix}${index}`;
      taken.add(macro);
      return macro;
    };
  };
  const dimMacro = macros('D');
  const inputMacro = macros('I');
  const outputMacro = macros('O');
  const constants = manifest.sections.find((s) => s.kind === 'constants');
  return {
    name, upper: name.toUpperCase(), origin: manifest.info.model?.name ?? 'a module', entry, program,
    dims: entry.dims.map((d, index) => {
      if (d.binding.kind === 'run') throw refuse(`the dim ${d.name} is only known while it runs`, 'fix it (`--dim`)');
      return { ...d, index, macro: dimMacro(d.name, index) };
    }),
    inputs: entry.params.map((p, index) => ({ ...p, index, macro: inputMacro(p.name, index) })),
    outputs: entry.results.map((r, index) => ({ ...r, contents: null, index, macro: outputMacro(r.name, index) })),
    variants: manifest.regions.map((r) => r.variants[0]!),
    regionDims: manifest.regions.map((r) => r.dims),
    constantOffsets: manifest.constants.map(({ name: constant, data }) => {
      if (data.kind !== 'section' || data.section !== constants?.name) throw refuse(`the constant ${constant} is not in the artifact`, null);
      return weightsHeaderBytes + data.offset;
    }),
    weightBytes: weightsHeaderBytes + (constants?.bytes ?? 0),
    fingerprint: digest.slice(0, 16),
  };
}

const refuse = (why: string, hint: string | null): TenonError => new TenonError({ code: 'cpu-c/not-standalone', message: `the model cannot be written as C that stands alone: ${why}`, hint });

/** The value of a formula without dims; null for others. */
export function fixed(program: DimProgram): number | null {
  return program.length === 1 && typeof program[0] === 'number' ? program[0] : null;
}

/** Elements of a shape without dims; null for others. */
export function fixedElements(shape: readonly DimProgram[]): number | null {
  return shape.reduce((product: number | null, d) => (product === null || fixed(d) === null ? null : product * fixed(d)!), 1);
}
