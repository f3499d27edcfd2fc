/** The accelerator, compile half. */
import { definePlugin, type Target } from '@tenon/plugin';
import { codegen } from './codegen.ts';
import { bandwidth, launch, peak, side, transfer, weightBytes } from './device.ts';
import { rules } from './rules.ts';

const target: Target = {
  name: 'acme',
  doc: 'An array that multiplies matrices, simulated in JavaScript.',
  form: 'graph',
  dtypes: ['f32'],
  device: () => ({
    name: 'acme', peak, bandwidth, launch, transfer,
    memory: [{ space: 'acme', bytes: 1 << 28 }, { space: 'weights', bytes: weightBytes }],
    features: { side },
  }),
  codegen,
};

export default definePlugin({ name: 'tenon-target-acme', namespace: 'acme' }, () => ({ targets: [target], rules }));
