import type { Context } from '@tenon/plugin';
import type { ConverterEntry, ConverterTable } from './convert.ts';
import type { OnnxFunction, OnnxModel, OnnxNode, OnnxOpset } from './model.ts';

/** Opsets of the standard domain whose operators the converters were written for. */
export const oldestOpset = 7;
export const newestOpset = 26;
/** Newer ones are tried, with a warning; a number beyond this is taken for damage. */
const plausibleOpset = 60;
const newestIrVersion = 13;

/** Versions by domain; the standard domain is ''. */
export type Opsets = ReadonlyMap<string, number>;

export function domainOf(domain: string): string {
  return domain === 'ai.onnx' ? '' : domain;
}

/** The table key of an operator. */
export function operatorKey(domain: string, opType: string): string {
  return domain === '' ? opType : `${domain}::${opType}`;
}

export function opsetsOf(imports: readonly OnnxOpset[]): Opsets {
  return new Map(imports.map((o) => [domainOf(o.domain), o.version]));
}

/** The model's opsets, after its versions were checked. */
export function checkVersions(model: OnnxModel, ctx: Context): Opsets {
  if (model.irVersion > newestIrVersion)
    ctx.report({
      severity: 'warning', code: 'onnx/newer-ir', message: `the model has the IR version ${model.irVersion}; this frontend knows versions up to ${newestIrVersion}`,
    });
  const opsets = new Map(opsetsOf(model.opsets));
  const version = opsets.get('');
  if (version === undefined) {
    const usesStandard = model.graph?.nodes.some((n) => domainOf(n.domain) === '') ?? false;
    if (usesStandard)
      ctx.fail({ code: 'onnx/missing-opset', message: 'the model does not say which opset of the standard domain it uses', hint: 'export it again: opset_import is required since IR version 3' });
    return opsets;
  }
  const range = `opsets ${oldestOpset} to ${newestOpset} are supported`;
  if (version < oldestOpset)
    ctx.fail({ code: 'onnx/unsupported-opset', message: `the model uses opset ${version}; ${range}`, hint: 'convert it with onnx.version_converter, or export it again with a newer opset' });
  if (version > plausibleOpset) ctx.fail({ code: 'onnx/unsupported-opset', message: `the model claims to use opset ${version}, which does not exist; ${range}` });
  if (version > newestOpset)
    ctx.report({
      severity: 'warning', code: 'onnx/newer-opset', message: `the model uses opset ${version}; ${range}`,
      hint: 'operators whose meaning changed since may be computed by their earlier definition',
    });
  return opsets;
}

/** The operators that a model defines itself. */
export class LocalFunctions {
  private readonly functions = new Map<string, OnnxFunction>();

  constructor(model: OnnxModel) {
    for (const f of model.functions) this.functions.set(keyOf(f.domain, f.name, f.overload), f);
  }
  find(node: OnnxNode): OnnxFunction | null {
    return this.functions.get(keyOf(node.domain, node.opType, node.overload)) ?? null;
  }
}
function keyOf(domain: string, name: string, overload: string): string {
  return JSON.stringify([domainOf(domain), name, overload]);
}

export function findConverter(table: ConverterTable, node: OnnxNode): ConverterEntry | null {
  const key = operatorKey(domainOf(node.domain), node.opType);
  return Object.hasOwn(table, key) ? (table[key] ?? null) : null;
}

/** What diagnostics call a node: its name, or operator and position with its first output. */
export function locationOf(node: OnnxNode, index: number, prefix: string): string {
  const short = (name: string): string => (name.length > 200 ? `${name.slice(0, 200)}…` : name);
  if (node.name) return prefix + short(node.name);
  const output = node.outputs.find((name) => name !== '');
  return `${prefix}${short(node.opType)}_${index}${output === undefined ? '' : ` (${short(output)})`}`;
}
