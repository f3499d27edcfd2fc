import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Case } from './cases.ts';
import type { Done, Outcome, Work } from './protocol.ts';

const workerScript = fileURLToPath(new URL('./worker.ts', import.meta.url));

export interface PoolOptions {
  readonly target: string;
  readonly processes: number;
  /** Cases compiled together. */
  readonly batch: number;
  readonly onOutcome: (c: Case, outcome: Outcome) => void;
  /** Milliseconds that a case may take; default: 10 s. */
  readonly limit?: number;
  /** The program of a worker. */
  readonly script?: string;
}

/**
 * Runs cases in child processes. A case that takes longer than the limit, or takes its process down, is an error and the
 * process is replaced. Where a batch fails as a whole its cases are run one by one.
 */
export async function runPool(cases: readonly Case[], options: PoolOptions): Promise<void> {
  const queue: (readonly Case[])[] = [];
  for (let at = 0; at < cases.length; at += options.batch) queue.push(cases.slice(at, at + options.batch));
  await Promise.all(Array.from({ length: options.processes }, () => worker(queue, options)));
}

async function worker(queue: (readonly Case[])[], { target, onOutcome, limit = 10_000, script = workerScript }: PoolOptions): Promise<void> {
  let child: ChildProcess | null = null;
  let id = 0;
  for (let batch = queue.shift(); batch !== undefined; batch = queue.shift()) {
    child ??= await start(script, target);
    const answer = await ask(child, { id: id++, cases: batch }, limit + (limit / 10) * (batch.length - 1));
    if (answer.dead) child = null;
    if (answer.outcomes !== null) batch.forEach((c, i) => onOutcome(c, answer.outcomes![i]!));
    else if (batch.length > 1) queue.unshift(...batch.map((c) => [c]));
    else onOutcome(batch[0]!, { status: 'error', code: null, message: answer.reason, ms: answer.ms });
  }
  child?.kill();
}

/** Starts a process. Loading the compiler is no case's time, and its failure is the runner's. */
function start(script: string, target: string): Promise<ChildProcess> {
  const child = fork(script, [target], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
  return new Promise((resolve, reject) => {
    let words = '';
    const onStderr = (text: Buffer): void => void (words += text.toString());
    const onExit = (): void => reject(new Error(`a worker did not start: ${words}`));
    child.stderr!.on('data', onStderr);
    child.once('exit', onExit).once('message', () => {
      child.off('exit', onExit);
      child.stderr!.off('data', onStderr);
      resolve(child);
    });
  });
}

interface Answer {
  readonly outcomes: readonly Outcome[] | null;
  readonly reason: string;
  readonly dead: boolean;
  readonly ms: number;
}

function ask(child: ChildProcess, work: Work, limit: number): Promise<Answer> {
  return new Promise((resolve) => {
    const begin = performance.now();
    let lastWords = '';
    const end = (answer: Omit<Answer, 'ms'>): void => {
      clearTimeout(timer);
      child.off('message', onMessage).off('exit', onExit);
      child.stderr!.off('data', onStderr);
      resolve({ ...answer, ms: Math.round(performance.now() - begin) });
    };
    const onStderr = (text: Buffer): void => {
      lastWords = (lastWords + text.toString()).slice(-2000);
    };
    const onMessage = (message: unknown): void => {
      const done = message as Done;
      if (done.id === work.id) end({ outcomes: done.outcomes, reason: 'the batch failed', dead: false });
    };
    const onExit = (code: number | null, signal: string | null): void =>
      end({ outcomes: null, reason: `the process died of ${signal ?? `exit code ${code}`}${lastWords === '' ? '' : `: ${lastWords.trim()}`}`, dead: true });
    const timer = setTimeout(() => {
      child.off('exit', onExit);
      child.kill('SIGKILL');
      end({ outcomes: null, reason: `it took longer than ${limit / 1000} s`, dead: true });
    }, limit);
    child.on('message', onMessage).on('exit', onExit);
    child.stderr!.on('data', onStderr);
    child.send(work);
  });
}
