import type { Progress } from 'tenon';

/** On a terminal one line that is rewritten, elsewhere a line at the beginning. */
export function showProgress(title: string): { readonly show: (progress: Progress) => void; readonly end: () => void } {
  const { stderr } = process;
  const live = stderr.isTTY && !process.env['CI'];
  if (!live) console.log(`${title} …`);
  const begin = performance.now();
  return {
    show({ step, done, total }) {
      if (!live) return;
      const seconds = ((performance.now() - begin) / 1000).toFixed(1);
      const count = total === null ? '' : ` ${done ?? 0}/${total}`;
      stderr.write(`\r\u001b[K${`${title} ${seconds} s: ${step}${count}`.slice(0, (stderr.columns ?? 80) - 1)}`);
    },
    end() {
      if (live) stderr.write('\r\u001b[K');
    },
  };
}
