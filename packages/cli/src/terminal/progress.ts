import { truncate, type Sink } from './style.ts';

export interface ProgressLine {
  show(step: string, done?: number | null, total?: number | null): void;
  /** Removes the line: something else is to be written. */
  clear(): void;
  stop(): void;
}

/** A step that ends sooner is not worth a flicker. */
const everyMilliseconds = 60;

/**
 * One line that says what is being done and for how long, rewritten in place. Nothing at all where the stream is no
 * terminal or a CI system records it.
 */
export function createProgress(stream: Sink, env: { readonly [name: string]: string | undefined }, now: () => number = () => performance.now()): ProgressLine {
  if (stream.isTTY !== true || env['CI'] || env['TERM'] === 'dumb') return { show: () => {}, clear: () => {}, stop: () => {} };
  const begin = now();
  let shown = false;
  let last = -Infinity;
  let text = '';
  const draw = (): void => {
    last = now();
    shown = true;
    const seconds = `${((last - begin) / 1000).toFixed(1)} s`;
    stream.write(`\r\u001b[K${truncate(`${seconds.padStart(7)}  ${text}`, (stream.columns ?? 80) - 1)}`);
  };
  const clear = (): void => {
    if (shown) stream.write('\r\u001b[K');
    shown = false;
  };
  // The elapsed time goes on while a step reports nothing.
  const timer = setInterval(() => {
    if (text !== '' && now() - last > 200) draw();
  }, 250);
  timer.unref();
  return {
    show(step, done = null, total = null) {
      text = total === null ? (done === null ? step : `${step} ${done}`) : `${step} ${done ?? 0}/${total} ${bar(done ?? 0, total)}`;
      if (now() - last >= everyMilliseconds || done === total) draw();
    },
    clear,
    stop() {
      clearInterval(timer);
      text = '';
      clear();
    },
  };
}

function bar(done: number, total: number): string {
  const width = 20;
  const filled = total <= 0 ? width : Math.min(width, Math.floor((done / total) * width));
  return '█'.repeat(filled) + '░'.repeat(width - filled);
}
