/**
 * The kit inside vitest: one test per tier.
 *
 *     // test/kit.test.ts of a plugin
 *     import { testPlugin } from '@tenon/plugin-kit/vitest';
 *     testPlugin(new URL('..', import.meta.url));
 */
import { beforeAll, describe, expect, it } from 'vitest';
import type { Report } from './report.ts';
import { tiers } from './report.ts';
import { runKit, type KitOptions } from './run-kit.ts';

/** Declares the tests for the plugin in a folder. The kit runs once, before the first of them. */
export function testPlugin(folder: string | URL, options: KitOptions = {}): void {
  const wanted = options.tier === undefined ? tiers : [options.tier];
  describe('tenon-plugin-kit', () => {
    let report: Report;
    beforeAll(async () => {
      report = await runKit(folder, options);
    }, ((options.timeout ?? 180) + 10) * 1000);
    it.each(wanted)('%s', (tier) => {
      const failures = report.failures.filter((f) => f.tier === tier).map(({ code, message }) => `[${code}] ${message}`);
      expect(failures).toEqual([]);
    });
  });
}
