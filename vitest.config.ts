import { defineConfig } from 'vitest/config';

export default defineConfig({
  resolve: { conditions: ['tenon-source'] },
  ssr: { resolve: { conditions: ['tenon-source'] } },
  test: {
    include: ['packages/*/src/**/*.test.ts', 'packages/*/test/**/*.test.ts', 'tests/**/*.test.ts'],
    testTimeout: 30_000,
  },
});
