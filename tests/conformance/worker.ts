/** A child process that runs cases; see `pool.ts`. Its argument is the target. */
import { engines } from '../support/engines.ts';
import type { Done, Outcome, Work } from './protocol.ts';
import { runBatch } from './run-batch.ts';
import { runCase } from './run-case.ts';

const engine = engines[process.argv[2]!]!;

process.on('message', (work: Work) => {
  const answer = (outcomes: readonly Outcome[] | null): void => void process.send!({ id: work.id, outcomes } satisfies Done);
  const [only] = work.cases;
  if (work.cases.length === 1) void runCase(only!, engine).then((outcome) => answer([outcome]));
  else void runBatch(work.cases, engine).then(answer);
});
process.send!('ready');
process.on('disconnect', () => process.exit());
