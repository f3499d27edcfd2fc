import { Session } from '@tenon/core';
import { diagnosticOf, type Attrs, type Diagnostic, type DeviceModel } from '@tenon/plugin';
import { setUp } from '../build.ts';
import type { BuildOptions } from '../options.ts';
import { nodeEnvironment } from './environment.ts';

/** What a target is on this machine, or why it cannot be used. */
export interface TargetDescription {
  readonly name: string;
  readonly doc: string;
  readonly options: Attrs;
  readonly device: DeviceModel | null;
  readonly problem: Diagnostic | null;
}

/** Every target of a configuration, those it lists first. */
export async function describeTargets(options: BuildOptions = {}): Promise<readonly TargetDescription[]> {
  const { host, config } = setUp(nodeEnvironment, options);
  const session = new Session({ host, config });
  try {
    const listed = (config.targets ?? []).map((entry): readonly [string, Attrs] => (typeof entry === 'string' ? [entry, {}] : entry));
    const rest = [...session.registry.targets.keys()].filter((name) => !listed.some(([other]) => other === name)).map((name): readonly [string, Attrs] => [name, {}]);
    const described: TargetDescription[] = [];
    for (const [name, targetOptions] of [...listed, ...rest]) {
      const base = { name, doc: session.registry.targets.get(name)?.doc ?? '', options: targetOptions };
      try {
        described.push({ ...base, device: (await session.resolveTarget(name, targetOptions)).device, problem: null });
      } catch (error) {
        const problem = diagnosticOf(error);
        if (problem === null) throw error;
        described.push({ ...base, device: null, problem });
      }
    }
    return described;
  } finally {
    session.end();
  }
}
