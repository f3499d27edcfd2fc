import { defineConfig } from 'vitest/config';

/** Where a report for machines goes, if one is wanted. */
const report = process.env['TENON_TEST_REPORT'];

export default defineConfig({
  resolve: { conditions: ['tenon-source'] },
  ssr: { resolve: { conditions: ['tenon-source'] } },
  test: {
    include: ['packages/*/src/**/*.test.ts', 'packages/*/test/**/*.test.ts', 'tests/**/*.test.ts', 'packages/create-tenon-plugin/templates/*/test/{import,library,loader}.test.ts'],
    testTimeout: 30_000,
    ...(report === undefined ? {} : { reporters: ['default', 'json'], outputFile: { json: report } }),
  },
});
