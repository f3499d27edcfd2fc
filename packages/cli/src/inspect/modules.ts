import { TenonError } from 'tenon';
import { nearest, printFunction, printModule, type Inspection, type IRModule, type Phase } from 'tenon/tools';
import type { Report } from '../command.ts';
import { formatTime } from '../terminal/numbers.ts';
import { formatTable } from '../terminal/table.ts';

export interface ModulesOptions {
  readonly phase: Phase | undefined;
  readonly pass: string | undefined;
  /** The name of the only function to show. */
  readonly only: string | undefined;
  /** All elements of constants. */
  readonly full: boolean;
}

const shownElements = 8;

/** Modules in text form: after a phase, or each time after a pass. */
export function modulesReport(inspection: Inspection, view: 'graph' | 'kernels', options: ModulesOptions): Report {
  const modules = options.pass === undefined ? afterPhase(inspection, options.phase) : inspection.printed.map(({ pass, target, module }) => ({ after: pass, target, module }));
  const texts = modules.map(({ after, target, module }) => ({ after, target, text: moduleText(module, view, options) }));
  const title = (t: { after: string; target: string | null }): string => `// after ${t.after}${t.target === null ? '' : ` for ${t.target}`}`;
  return {
    json: { view, modules: texts },
    text: ({ paint }) => texts.map((t) => `${paint('dim', title(t))}\n${t.text.trimEnd()}`).join('\n\n'),
  };
}

function afterPhase(inspection: Inspection, phase: Phase | undefined): readonly { after: string; target: string | null; module: IRModule }[] {
  const { snapshots } = inspection;
  const found = phase === undefined ? snapshots.slice(-1) : snapshots.filter((s) => s.phase === phase);
  return found.map((s) => ({ after: s.phase, target: s.target, module: s.module }));
}

function moduleText(module: IRModule, view: 'graph' | 'kernels', { only, full }: ModulesOptions): string {
  const print = full ? {} : { maxElements: shownElements };
  if (only !== undefined) {
    const fn = module.functions.get(only);
    if (fn !== undefined) return printFunction(fn, print);
    const near = nearest(only, module.functions.keys());
    throw new TenonError({ code: 'usage/arguments', message: `the module has no function ${only}`, hint: near === null ? null : `did you mean ${near}?` });
  }
  const kind = view === 'graph' ? 'graph' : 'tensor';
  const functions = new Map([...module.functions].filter(([, fn]) => fn.kind === kind));
  const constants = view === 'graph' ? module.constants : new Map<string, never>();
  const sources = view === 'graph' ? module.sources : new Map<string, never>();
  return full ? printModule(module) : printModule({ ...module, functions, constants, sources }, print);
}

/** What the code generators wrote. */
export function codeReport(inspection: Inspection): Report {
  const listings = inspection.blobs.map(({ target, blob }) => ({ target, format: blob.format, bytes: blob.bytes.length, listing: blob.listing }));
  return {
    json: { listings },
    text: ({ paint }) => listings.map((l) => `${paint('dim', `// ${l.target}: ${l.format}, ${l.bytes} bytes`)}\n${l.listing.trimEnd()}`).join('\n\n'),
  };
}

export function passesReport(inspection: Inspection): Report {
  const { compilation } = inspection;
  const passes = compilation?.passes ?? inspection.passes.map((p) => ({ ...p, target: null }));
  const phaseTimes = compilation?.phases ?? [];
  return {
    json: { passes, phases: phaseTimes },
    text: (style) => [
      formatTable(
        [{ title: 'phase' }, { title: 'pass', shrink: 12 }, { title: 'target' }, { title: 'time', right: true }, { title: 'changed' }],
        passes.map((p) => [p.phase, p.pass, p.target ?? '', formatTime(p.milliseconds), p.changed ? 'yes' : '']), style,
      ),
      '',
      formatTable(
        [{ title: 'phase' }, { title: 'target' }, { title: 'time', right: true }],
        phaseTimes.map((p) => [p.phase, p.target ?? '', formatTime(p.milliseconds)]), style,
      ),
    ].join('\n'),
  };
}
