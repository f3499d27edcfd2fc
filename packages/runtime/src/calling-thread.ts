import type { Fence } from '@tenon/plugin';

/** Milliseconds up to which handing a call over takes as long as the call, or nearly. */
const brief = 1;
/** Milliseconds for which this thread may be held at a time: as long as a screen shows one picture. What handing over takes is then 2 % or less. */
const most = 16;
/** Runs that are handed over after some have overlapped. */
const caution = 16;
/** Microtasks that may lie between the end of a run and its caller's next step. */
const hops = 8;

/**
 * Decides which calls run on the thread that asks for them, where that takes less time: handing a call to another thread and taking
 * its result back costs some tenths of a millisecond, with what caches hold. Brief calls always stay. Longer ones stay where nothing
 * else can be meant to happen meanwhile: the caller waited for the run before, and begins the next as soon as it is there. Before this
 * thread would be held for too long, the event loop gets its turn.
 */
export class CallingThread {
  #runs = 0;
  #caution = 0;
  #after = 0;
  #held = 0;
  #turn: Promise<void> | null = null;

  /** A run begins. Whether its calls may stay though they are not brief. */
  begin(): boolean {
    const alone = this.#runs++ === 0;
    if (!alone) this.#caution = caution;
    else if (this.#caution > 0) this.#caution--;
    return alone && this.#caution === 0 && this.#after > 0;
  }

  /** A run has ended; its caller comes next. */
  end(): void {
    this.#runs--;
    const waiting = this.#after > 0;
    this.#after = hops;
    if (!waiting) this.#hop();
  }

  /** Counts microtasks: none are left when the next event comes. */
  #hop(): void {
    queueMicrotask(() => {
      if (--this.#after > 0) this.#hop();
    });
  }

  /** Whether a call that is expected to take so many milliseconds runs here. */
  keeps(milliseconds: number | undefined, may: boolean): boolean {
    return milliseconds !== undefined && milliseconds < (may ? most : brief);
  }

  /** What to wait for before a call of so many milliseconds may run here; null: nothing. */
  turn(milliseconds: number): Fence | null {
    if (this.#held === 0 || this.#held + milliseconds <= most) return null;
    const turn = this.#next();
    return { done: false, wait: () => turn };
  }

  /** A call has run here for so many milliseconds. */
  hold(milliseconds: number): void {
    this.#held += milliseconds;
    void this.#next();
  }

  #next(): Promise<void> {
    this.#turn ??= eventLoop().then(() => {
      this.#held = 0;
      this.#turn = null;
    });
    return this.#turn;
  }
}

/** Resolves when what waits for this thread has had its turn. */
function eventLoop(): Promise<void> {
  const { setImmediate } = globalThis as { readonly setImmediate?: (callback: () => void) => void };
  return new Promise((resolve) => (setImmediate ? setImmediate(resolve) : setTimeout(resolve, 0)));
}
