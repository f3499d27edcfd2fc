import { spawn } from 'node:child_process';

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a program to its end with `input` on its standard input. Rejects where it cannot be started (`code: 'ENOENT'`)
 * and, with the signal's reason, where it is aborted: then the program and all it started are killed first.
 */
export function runProcess(command: string, args: readonly string[], input: string, options: { readonly cwd?: string; readonly env?: { readonly [name: string]: string }; readonly signal?: AbortSignal } = {}): Promise<Finished> {
  const { signal } = options;
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    // A process group of its own: compilers are drivers that start further programs.
    const child = spawn(command, args, { cwd: options.cwd, detached: true, stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, LC_ALL: 'C', ...options.env } });
    const abort = (): void => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      } catch {
        // It has ended meanwhile.
      }
    };
    signal?.addEventListener('abort', abort, { once: true });
    const text = { stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text.stdout += chunk));
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (text.stderr += chunk));
    child.stdin.on('error', () => undefined); // It may end without reading its input.
    child.stdin.end(input);
    child.on('error', (error) => {
      signal?.removeEventListener('abort', abort);
      reject(error);
    });
    child.on('close', (code) => {
      signal?.removeEventListener('abort', abort);
      if (signal?.aborted) reject(signal.reason as Error);
      else resolve({ code, ...text });
    });
  });
}
