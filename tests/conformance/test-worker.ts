/** A worker for `pool.test.ts`: what a case's name says happens. Batches with a misfit are given back. */
import type { Done, Outcome, Work } from './protocol.ts';

process.on('message', ({ id, cases }: Work) => {
  const names = cases.map((c) => c.case);
  if (names.includes('hang')) return;
  if (names.includes('die')) process.exit(3);
  const misfit = names.length > 1 && names.includes('misfit');
  const outcome: Outcome = { status: 'pass', code: null, message: `${process.argv[2]}, ${names.length} together`, ms: 1 };
  process.send!({ id, outcomes: misfit ? null : names.map(() => outcome) } satisfies Done);
});
process.send!('ready');
process.on('disconnect', () => process.exit());
