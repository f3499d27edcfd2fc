import type { Expr, ExprBuilder, KernelInfo, Launch, RegionPlan, Scope } from '@tenon/plugin';
import { TenonError } from '@tenon/plugin';
import { Emitter } from './emitter.ts';
import { emit } from './expressions.ts';
import { indent } from './indent.ts';
import type { Kernel } from './kernel.ts';
import type { Support } from './support.ts';

/** A region's entry as C, and what the manifest says of it. */
export interface Entry {
  readonly symbol: string;
  /** C text of the entry function; it refers to kernels and runtime support by name. */
  readonly text: string;
  /** Bytes of workspace over the region's dims; null for none. */
  readonly workspace: Expr | null;
  readonly kernels: readonly KernelInfo[];
}

/** What entries refer to of the runtime support; stands before them, after the helper functions. */
export const entryDeclarations = `typedef struct tenon_pool tenon_pool;
typedef void (*tenon_kernel)(void* const* p, const i64* n, i64 begin, i64 end, char* scratch);
extern __attribute__((visibility("hidden"))) void tenon_parallel(tenon_pool* pool, tenon_kernel kernel, void* const* p, const i64* n, i64 extent, i64 cost, char* scratch, i64 scratch_bytes);
extern __attribute__((visibility("hidden"))) void tenon_begin(tenon_pool* pool);
extern __attribute__((visibility("hidden"))) void tenon_end(tenon_pool* pool);
extern __attribute__((visibility("hidden"))) u64 tenon_now(void);
extern __attribute__((visibility("hidden"))) char* tenon_allocate(i64 bytes);
extern __attribute__((visibility("hidden"))) void tenon_release(char* memory);
/* A call and not a branch: an entry is one straight piece of code, however many launches it has. */
static __attribute__((noinline, unused)) void tenon_note(u64* profile, i64 at, u64 start) { if (profile) profile[at] = tenon_now() - start; }`;

/** A C comment. Names come from models: none may end the comment early, not by `*\/` nor by a line that goes on. */
export const comment = (text: string): string => `/* ${text.replace(/[^\x20-\x7e]|[\\?]/g, ' ').replaceAll('*/', '* /')} */`;

/** A C identifier made from a name. */
export const identifier = (name: string): string => `tenon_${name.replace(/[^A-Za-z0-9_]/g, (c) => `_${c.codePointAt(0)!.toString(16)}_`)}`;

/**
 * Writes the function that runs a region's launches in order:
 * `int ENTRY(pool, views, dims, profile)`. `views` are parameters, results, constants, workspace; `dims` holds the
 * caller's dims, followed by room for those that the region computes; `profile`, if not null, receives begin and end of
 * every launch in nanoseconds. It returns 0, 1 where memory ran out, or 2 + i where the library that launch i calls failed.
 */
export function generateEntry(plan: RegionPlan, kernels: readonly ({ readonly kernel: Kernel; readonly symbols: readonly string[] } | null)[], exprs: ExprBuilder, support: Support, facts: Scope): Entry {
  const symbol = identifier(plan.entry);
  const em = new Emitter({ exprs, vectorBytes: 16, kernel: plan.entry, support });
  const toC = new Map<string, Expr>();
  plan.dims.forEach((name, k) => {
    toC.set(name, exprs.variable(`d${k}`));
    em.facts.set(`d${k}`, facts.get(name) ?? { min: null, max: null });
    em.push(`const i64 d${k} = d[${k}];`);
  });
  const known = new Set(plan.dims);
  const number = (e: Expr): string => {
    let text = '';
    const value = exprs.substitute(e, toC);
    for (const name of exprs.variables(value)) {
      if (!/^[dr]\d+$/.test(name)) {
        throw new TenonError({ code: 'cpu-c/unbound-dim', message: `region ${plan.entry} needs dim ${name}, which neither its caller nor an earlier launch gives` });
      }
    }
    em.statement([value], () => (text = emit(em, value, null)));
    return text;
  };

  const views = plan.params + plan.results + plan.constants.length;
  // Behind the plan's own workspace lie temporaries and scratch of the launch that needs most; sizes that only become
  // known while the region runs are allocated then.
  const base = exprs.mul(exprs.ceildiv(plan.workspace, 64), 64);
  let extra = exprs.int(0);
  const parameterOf = (index: number): string => {
    const buffer = plan.buffers[index]!;
    switch (buffer.storage.kind) {
      case 'argument':
        return `v[${buffer.storage.index}]`;
      case 'result':
        return `v[${plan.params + buffer.storage.index}]`;
      case 'constant':
        return `v[${plan.params + plan.results + buffer.storage.index}]`;
      case 'workspace':
        return `(char*)v[${views}] + ${number(buffer.storage.offset)}`;
    }
  };

  const readRunDims = (after: number): void => {
    plan.runDims.forEach((dim, k) => {
      if (dim.after !== after) return;
      em.push(`const i64 r${k} = *(const i64*)(${parameterOf(dim.buffer)});`);
      em.push(`d[${plan.dims.length + k}] = r${k};`);
      toC.set(dim.name, exprs.variable(`r${k}`));
      em.facts.set(`r${k}`, { min: 0, max: null });
    });
  };

  const infos: KernelInfo[] = [];
  em.push('const u64 start = profile ? tenon_now() : 0;');
  plan.launches.forEach((launch, index) => {
    const generated = kernels[index]!;
    infos.push({ name: launch.kernel, ops: launch.ops, locs: launch.locs, flops: launch.flops, bytes: launch.bytes });
    if (generated === null) {
      for (const line of libraryCall(launch, index, parameterOf, number)) em.push(line);
      readRunDims(index);
      return;
    }
    const { kernel, symbols } = generated;
    const values = new Map<string, Expr>();
    kernel.scalars.forEach((name, k) => {
      const scalar = launch.scalars.find((s) => s.name === name);
      if (scalar === undefined) {
        throw new TenonError({ code: 'cpu-c/missing-scalar', message: `launch ${index} of region ${plan.entry} gives no value for ${name} of kernel ${launch.kernel}` });
      }
      values.set(`n${k}`, scalar.value);
    });
    const atLaunch = (e: Expr): Expr => exprs.substitute(e, values);
    let used = exprs.int(0);
    const offsets = kernel.temporaries.map((bytes) => {
      const at = used;
      used = exprs.add(used, exprs.mul(exprs.ceildiv(atLaunch(bytes), 64), 64));
      return at;
    });
    const scratchAt = used;
    let scratchBytes = exprs.int(0);
    for (const stage of kernel.stages) scratchBytes = exprs.max(scratchBytes, atLaunch(stage.scratch));
    used = exprs.add(used, scratchBytes);
    const planned = exprs.variables(used).every((name) => known.has(name));
    if (planned) extra = exprs.max(extra, used);
    const needsMemory = exprs.valueOf(used) !== 0;

    em.push(comment(launch.kernel));
    em.push('{');
    const memory = !needsMemory ? '0' : 'w';
    if (needsMemory) {
      em.push(`char* const w = ${planned ? `(char*)v[${views}] + ${number(base)}` : `tenon_allocate(${number(used)})`};`);
      if (!planned) em.push('if (!w) return 1;');
    }
    const args = [...launch.args.map(parameterOf), ...offsets.map((offset) => `w + ${number(offset)}`)];
    em.push(`void* const p[] = {${args.join(', ') || '0'}};`);
    em.push(`const i64 n[] = {${kernel.scalars.map((_, k) => number(values.get(`n${k}`)!)).join(', ') || '0'}};`);
    const scratch = exprs.valueOf(scratchBytes) === 0 ? '0' : `${memory} + ${number(scratchAt)}`;
    em.push(`tenon_note(profile, ${2 * index}, start);`);
    kernel.stages.forEach((stage, k) => {
      if (stage.extent === null) em.push(`${symbols[k]!}(p, n, 0, 1, ${scratch});`);
      else em.push(`tenon_parallel(pool, ${symbols[k]!}, p, n, ${number(atLaunch(stage.extent))}, ${number(atLaunch(stage.cost))}, ${scratch}, ${number(atLaunch(stage.scratch))});`);
    });
    em.push(`tenon_note(profile, ${2 * index + 1}, start);`);
    if (needsMemory && !planned) em.push('tenon_release(w);');
    em.push('}');
    readRunDims(index);
  });
  em.push('return 0;');

  const workspace = exprs.valueOf(extra) === 0 ? plan.workspace : exprs.add(base, extra);
  const declared = [...new Set(kernels.flatMap((k) => k?.symbols ?? []))];
  const routines = [...new Set(plan.launches.flatMap((l, i) => (kernels[i] === null ? [l.kernel] : [])))];
  const text = `${declared.map((s) => `extern __attribute__((visibility("hidden"))) void ${s}(void* const* p, const i64* n, i64 begin, i64 end, char* scratch);`).join('\n')}
${routines.map((s) => `extern __attribute__((visibility("hidden"))) int ${s}(void* const* operands, const i64* scalars, void* workspace);`).join('\n')}
__attribute__((visibility("default"))) const i64 ${symbol}_counts[3] = {${plan.dims.length}, ${plan.runDims.length}, ${plan.launches.length}};
static int ${symbol}_launches(tenon_pool* pool, void* const* v, i64* d, u64* profile) {
${indent(em.lines)}
}
__attribute__((visibility("default"))) int ${symbol}(tenon_pool* pool, void* const* v, i64* d, u64* profile) {
  tenon_begin(pool);
  const int status = ${symbol}_launches(pool, v, d, profile);
  tenon_end(pool);
  return status;
}
`;
  return { symbol, text, workspace: exprs.valueOf(workspace) === 0 ? null : workspace, kernels: infos };
}

/** The call of a library's routine: see `LibraryUnit` of @tenon/plugin. */
function libraryCall(launch: Launch, index: number, parameterOf: (buffer: number) => string, number: (e: Expr) => string): readonly string[] {
  // Numbers may need lines of their own: they are written before the block begins.
  const operands = launch.args.map(parameterOf).join(', ');
  const scalars = launch.scalars.map((s) => number(s.value)).join(', ');
  const workspace = launch.extern?.workspace ?? null;
  return [
    comment(`${launch.kernel} of ${launch.extern?.library ?? 'a library'}`),
    '{',
    `void* const p[] = {${operands}};`,
    `const i64 n[] = {${scalars || '0'}};`,
    `tenon_note(profile, ${2 * index}, start);`,
    `if (${launch.kernel}(p, n, ${workspace === null ? '0' : parameterOf(workspace)})) return ${2 + index};`,
    `tenon_note(profile, ${2 * index + 1}, start);`,
    '}',
  ];
}
