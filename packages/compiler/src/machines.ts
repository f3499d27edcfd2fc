import type { IRModule } from '@tenon/plugin';
import type { ResolvedTarget, Session } from '@tenon/core';

/** The kinds of machine that a target compiles its regions for, the best first. */
export async function machinesOf(target: ResolvedTarget, session: Session): Promise<readonly ResolvedTarget[]> {
  const declared = session.registry.targets.get(target.name);
  const options = target.form === 'kernels' ? (declared?.machines?.(target.options) ?? []) : [];
  if (options.length === 0) return [target];
  const machines: ResolvedTarget[] = [];
  for (const o of options) machines.push(await session.resolveTarget(target.name, o));
  return machines;
}

/** The first of several modules that are the same but for the machine that kernels were scheduled for, with the constants of all. Packed constants of one name are equal. */
export function withConstants([first, ...others]: readonly IRModule[]): IRModule {
  if (others.length === 0) return first!;
  const constants = new Map(first!.constants);
  const sources = new Map(first!.sources);
  for (const other of others) {
    for (const [name, decl] of other.constants) if (!constants.has(name)) constants.set(name, decl);
    for (const [name, decl] of other.sources) if (!sources.has(name)) sources.set(name, decl);
  }
  return { ...first!, constants, sources };
}
