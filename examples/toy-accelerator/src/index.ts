/** A toy matrix accelerator, compile half. It depends on `@tenon/plugin` alone. */
import { definePlugin, type Target } from '@tenon/plugin';
import { codegen } from './codegen.ts';
import { bandwidth, launch, peak, side, transfer, weightBytes } from './device.ts';
import { rules } from './rules.ts';

const target: Target = {
  name: 'toy',
  doc: 'A systolic array of 16 × 16 cells with a vector unit behind it, simulated in JavaScript.',
  form: 'graph',
  dtypes: ['f32', 'i8', 'i32'],
  device: () => ({
    name: 'toy', peak, bandwidth, launch, transfer,
    memory: [{ space: 'toy', bytes: 1 << 28 }, { space: 'weights', bytes: weightBytes }],
    features: { side },
  }),
  codegen,
};

export default definePlugin({ name: 'tenon-target-toy', namespace: 'toy', version: '0.1.0' }, () => ({ targets: [target], rules }));
