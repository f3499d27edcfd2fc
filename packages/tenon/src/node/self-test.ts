import { openArtifact } from '@tenon/artifact';
import { compileModule } from '@tenon/compiler';
import { createRuntime, bytesSource } from '@tenon/runtime';
import { TenonError, type IRModule } from '@tenon/plugin';
import type { Session } from '@tenon/core';
import { mergeConfig } from '../config.ts';
import { nodeEnvironment } from './environment.ts';

/**
 * Compiles a small model with the default target, loads it and compares what it computes: that this machine has all it
 * takes. Throws the diagnostic of what is missing.
 */
export async function selfTest(): Promise<void> {
  const host = nodeEnvironment.host(false, () => {});
  const config = mergeConfig(nodeEnvironment.defaults(), {});
  const compilation = await compileModule(smallModel, { config, host });
  try {
    const bytes = await compilation.toBytes();
    await (await openArtifact(bytesSource('memory:self-test', bytes))).verify();
    const runtime = createRuntime({ loaders: await nodeEnvironment.loaders(), host, allowNative: true });
    using model = await runtime.load(bytes);
    const { y } = await model.run({ x: Float32Array.of(-1, 0, 2, 3) });
    if (String(Array.from(y!.data as Float32Array)) !== '0,0,2,3') {
      throw new TenonError({ code: 'tenon/self-test', message: `a compiled relu of -1, 0, 2, 3 gives ${Array.from(y!.data as Float32Array).join(', ')}`, hint: 'please report this with the output of `tenon doctor --json`' });
    }
  } finally {
    compilation.dispose();
  }
}

function smallModel(session: Session): IRModule {
  const module = session.module();
  const fn = module.graph('main', [{ name: 'x', type: session.types.tensor('f32', [4]) }]);
  fn.finish([fn.call('nn.relu', [fn.params[0]!])], ['y']);
  return module.finish();
}
