import { testPlugin } from '@tenon/plugin-kit/vitest';

// What users of the plugin can rely on: the contract, every rule, results, damage, leaks, estimates.
testPlugin(new URL('..', import.meta.url));
