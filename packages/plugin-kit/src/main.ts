#!/usr/bin/env node
/** `tenon-plugin-kit DIR [--json] [--tier TIER] [--badge FILE] [--budget SECONDS] [--timeout SECONDS] [--bail]` */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { badge, formatReport, tiers, type Tier } from './report.ts';
import { KitError, runKit } from './run-kit.ts';

const usage = `tenon-plugin-kit DIR [options]

Checks the Tenon plugin in a folder.

  --json             prints { ok, failures: [{ tier, code, message }], … }
  --tier TIER        only one of ${tiers.join(', ')}
  --badge FILE       writes a badge (SVG) for a README
  --budget SECONDS   for generated cases, beyond the first few of every rule (16)
  --bail             stops at the first failure
  --timeout SECONDS  after which the plugin counts as hanging (180)

Exit codes: 0 right, 1 not right, 2 could not run.`;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { json: { type: 'boolean' }, tier: { type: 'string' }, badge: { type: 'string' }, budget: { type: 'string' }, bail: { type: 'boolean' }, timeout: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
  });
  if (values.help === true) {
    console.log(usage);
    return 0;
  }
  const [folder, ...more] = positionals;
  if (folder === undefined || more.length > 0) throw new KitError(`${folder === undefined ? 'no folder is given' : 'more than one folder is given'}\n\n${usage}`);
  const tier = values.tier as Tier | undefined;
  if (tier !== undefined && !tiers.includes(tier)) throw new KitError(`there is no tier ${tier}; there are ${tiers.join(', ')}`);
  const secondsOf = (name: 'timeout' | 'budget'): number | undefined => {
    const seconds = values[name] === undefined ? undefined : Number(values[name]);
    if (seconds !== undefined && !(seconds > 0)) throw new KitError(`--${name} wants seconds, not ${values[name]}`);
    return seconds;
  };
  const [timeout, budget] = [secondsOf('timeout'), secondsOf('budget')];
  const progress = process.stderr.isTTY && values.json !== true;
  const report = await runKit(folder, {
    ...(tier === undefined ? {} : { tier }), ...(timeout === undefined ? {} : { timeout }), ...(budget === undefined ? {} : { budget }), bail: values.bail ?? false,
    ...(progress ? { onTier: (name: Tier) => void process.stderr.write(`\r\x1b[K${name} …`) } : {}),
  });
  if (progress) process.stderr.write('\r\x1b[K');
  if (values.badge !== undefined) writeFileSync(values.badge, badge(report));
  console.log(values.json === true ? JSON.stringify(report, null, 2) : formatReport(report));
  return report.ok ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  const json = process.argv.includes('--json');
  const message = error instanceof Error ? error.message : String(error);
  if (json) console.log(JSON.stringify({ ok: false, failures: [{ tier: 'package', code: 'kit/could-not-run', message }] }, null, 2));
  else console.error(message);
  process.exitCode = 2;
}
