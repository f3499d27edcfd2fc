import { testPlugin } from '@tenon/plugin-kit/vitest';

// What users of the plugin can rely on: the contract, every entry, results. It compiles C: a compiler must be there.
testPlugin(new URL('..', import.meta.url));
