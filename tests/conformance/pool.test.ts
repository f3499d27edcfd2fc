import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import type { Case } from './cases.ts';
import { runPool } from './pool.ts';
import type { Outcome } from './protocol.ts';

const script = fileURLToPath(new URL('./test-worker.ts', import.meta.url));
const named = (name: string): Case => ({ kind: 'node', case: name, folder: name, op: 'Op', opset: 20, dtypes: ['FLOAT'], rtol: 0, atol: 0, tier: 'A' });

async function outcomes(names: readonly string[], batch: number): Promise<ReadonlyMap<string, Outcome>> {
  const found = new Map<string, Outcome>();
  await runPool(names.map(named), { target: 'x', processes: 2, batch, limit: 1000, script, onOutcome: (c, outcome) => void found.set(c.case, outcome) });
  return found;
}

it('blames a time-out and a dead process on their cases, and goes on', async () => {
  const names = ['a', 'hang', 'b', 'die', 'c', 'd', 'misfit', 'e'];
  for (const batch of [1, 3]) {
    const found = await outcomes(names, batch);
    expect([...found.keys()].sort()).toEqual([...names].sort());
    for (const name of names) expect(found.get(name)!.status, `${name} in batches of ${batch}`).toBe(name === 'hang' || name === 'die' ? 'error' : 'pass');
    expect(found.get('hang')!.message).toBe('it took longer than 1 s');
    expect(found.get('die')!.message).toBe('the process died of exit code 3');
  }
}, 20_000);

it('runs cases together, and one by one where a batch fails', async () => {
  const found = await outcomes(['a', 'b', 'c', 'd', 'misfit'], 2);
  expect(['a', 'b', 'c', 'd', 'misfit'].map((n) => found.get(n)!.message)).toEqual(['x, 2 together', 'x, 2 together', 'x, 2 together', 'x, 2 together', 'x, 1 together']);
});

it('says why workers do not start', async () => {
  await expect(runPool([named('a')], { target: 'x', processes: 1, batch: 1, script: '/nowhere/worker.ts', onOutcome: () => undefined })).rejects.toThrow(/a worker did not start/);
});
