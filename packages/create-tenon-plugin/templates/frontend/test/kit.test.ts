import { testPlugin } from '@tenon/plugin-kit/vitest';

// What users of the plugin can rely on: the contract, and that models which are cut off or damaged are refused with a code.
testPlugin(new URL('..', import.meta.url));
