import { accept, definePlugin, op, type Plugin, type Target } from '@tenon/plugin';

export interface BareTarget {
  readonly name: string;
  readonly form: Target['form'];
  /** Operators that it takes; null: all. */
  readonly ops: readonly string[] | null;
  /** Whether it has memory of its own. */
  readonly separate?: boolean;
}

/**
 * A target that generates no code: for tests of everything before that. Its entries are those that a code generator
 * would return.
 */
export function bareTarget({ name, form, ops, separate = false }: BareTarget): Plugin {
  return definePlugin({ name: `test-${name}`, namespace: name }, () => ({
    targets: [{
      name, form, doc: 'Takes regions and generates nothing.', dtypes: [],
      device: () => ({
        name, peak: {}, bandwidth: 1e9, launch: { region: 0, kernel: 0 }, transfer: separate ? { latency: 1e-5, bandwidth: 1e9 } : null, memory: [], features: {},
      }),
      codegen: (regions) => [{
        format: name, formatVersion: 1, bytes: new Uint8Array(), requires: {}, listing: '',
        entries: regions.map((r) => ({
          region: r.name, symbol: r.name, constants: r.plan?.constants ?? [...r.constants.keys()], dims: r.dims, runDims: [], workspace: r.plan?.workspace ?? null, kernels: [],
        })),
      }],
    }],
    rules: [{ id: `${name}/all`, target: name, pattern: op(ops ?? '*'), require: [], check: () => accept(), doc: 'Takes its operators.' }],
  }))();
}
