import type { Pass, PassContext, IRModule } from '@tenon/plugin';
import { decomposeStep } from '../partition/legalize.ts';
import { graphFunctions } from '../graph.ts';

/** Decomposes, in regions that become kernels, what has no tensor-level definition (operators that another target claimed whole). */
export const legalizePass: Pass = {
  name: 'legalize-operators',
  phase: 'legalize',
  doc: 'Decomposes operators without a tensor-level definition in kernel regions.',
  run: (module: IRModule, ctx: PassContext) => {
    if (ctx.target?.form !== 'kernels') return module;
    const mine = new Set([...graphFunctions(module)].filter((f) => f.attrs['target'] === ctx.target!.name).map((f) => f.name));
    let current = module;
    for (let round = 0; round < 32; round++) {
      const next = decomposeStep(current, ctx, mine, (b) => ctx.facet(b.callee, 'define') === undefined && !ctx.facet(b.callee, 'view'));
      if (next === current) break;
      current = next;
    }
    return current;
  },
};
