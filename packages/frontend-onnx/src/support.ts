import type { Context, Diagnostic } from '@tenon/plugin';
import { diagnostic } from '@tenon/plugin';
import type { ConverterTable } from './convert.ts';
import type { OnnxGraph, OnnxNode } from './model.ts';
import { domainOf, findConverter, locationOf, operatorKey, opsetsOf, type LocalFunctions, type Opsets } from './opset.ts';

/** An operator that cannot be converted: why, how often it occurs, and where first. */
interface Missing {
  readonly op: string;
  readonly why: string;
  count: number;
  readonly places: string[];
}

const placesShown = 3;
const graphDepthLimit = 64;

/** Refuses a model with operators that have no converter: all of them at once, as `onnx/unsupported-operator`. */
export function checkOperators(graph: OnnxGraph, opsets: Opsets, functions: LocalFunctions, table: ConverterTable, ctx: Context): void {
  const missing = new Map<string, Missing>();

  function visitNode(node: OnnxNode, location: string, versions: Opsets, calls: readonly string[]): void {
    const local = functions.find(node);
    const domain = domainOf(node.domain);
    const op = operatorKey(domain, node.opType);
    if (local) {
      if (calls.includes(op))
        ctx.fail({ code: 'onnx/recursive-function', message: `the local function ${op} calls itself: ${[...calls, op].join(' → ')}`, loc: location });
      const own = opsetsOf(local.opsets);
      visit(local.nodes, own.size ? own : versions, [...calls, op], `${location}/`);
      return;
    }
    const entry = findConverter(table, node);
    const version = versions.get(domain);
    let why: string | null = null;
    if (!entry) why = version === undefined ? 'its domain is neither known nor imported' : `there is no converter (the model uses opset ${version})`;
    else if (version !== undefined && version < entry.since) why = `its definition before opset ${entry.since} is not supported (the model uses opset ${version})`;
    if (why === null) return;
    const key = `${op}\n${why}`;
    let found = missing.get(key);
    if (!found) {
      found = { op, why, count: 0, places: [] };
      missing.set(key, found);
    }
    found.count++;
    if (found.places.length < placesShown) found.places.push(location);
  }

  function visit(nodes: readonly OnnxNode[], versions: Opsets, calls: readonly string[], prefix: string): void {
    nodes.forEach((node, index) => {
      const location = locationOf(node, index, prefix);
      visitNode(node, location, versions, calls);
      if (prefix.split('/').length > graphDepthLimit) return;
      for (const attribute of node.attributes)
        for (const body of attribute.g ? [attribute.g, ...attribute.graphs] : attribute.graphs) visit(body.nodes, versions, calls, `${location}/${attribute.name}/`);
    });
  }

  visit(graph.nodes, opsets, [], '');
  if (missing.size) ctx.fail(unsupported([...missing.values()], opsets));
}

function unsupported(missing: readonly Missing[], opsets: Opsets): Diagnostic {
  const sorted = missing.toSorted((a, b) => b.count - a.count || (a.op < b.op ? -1 : 1));
  const list = sorted.map((m) => `${m.op} ×${m.count} (first at ${m.places[0]})`).join(', ');
  const versions = [...opsets].map(([domain, version]) => `${domain || 'ai.onnx'} ${version}`).join(', ');
  return diagnostic({
    code: 'onnx/unsupported-operator',
    message: sorted.length === 1 ? `an operator of this model (opset ${versions}) is not supported: ${list}` : `${sorted.length} operators of this model (opset ${versions}) are not supported: ${list}`,
    hint: 'a plugin may add a frontend that converts them; otherwise export the model without them',
    op: sorted[0]!.op,
    loc: sorted[0]!.places[0] ?? null,
    related: sorted.map((m) =>
      diagnostic({
        code: 'onnx/unsupported-operator',
        message: `${m.op} occurs ${m.count === 1 ? 'once' : `${m.count} times`}, at ${m.places.join(', ')}${m.count > m.places.length ? ', …' : ''}: ${m.why}`,
        op: m.op,
        loc: m.places[0] ?? null,
      }),
    ),
  });
}
