import { defineConfig, mergeConfig } from 'vitest/config';
import config from './vitest.config.ts';

/** The tests of core where code cannot be made from strings, as under a strict content security policy. */
export default mergeConfig(config, defineConfig({
  test: {
    execArgv: ['--disallow-code-generation-from-strings'],
    setupFiles: ['scripts/assert-no-eval.ts'],
  },
}));
