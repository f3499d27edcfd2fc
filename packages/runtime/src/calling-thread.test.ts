import { describe, expect, test } from 'vitest';
import { CallingThread } from './calling-thread.ts';

/** A run that says whether its calls could stay. */
async function run(thread: CallingThread, work: () => Promise<void> | void = () => {}): Promise<boolean> {
  const stays = thread.begin();
  await work();
  thread.end();
  return stays;
}
const event = (): Promise<void> => new Promise((resolve) => void setTimeout(resolve, 0));

describe('calls on the calling thread', () => {
  test('brief ones stay in any case, longer ones where the run may, and none that says nothing', () => {
    const thread = new CallingThread();
    expect([0.5, 10, 20, undefined].map((ms) => [thread.keeps(ms, false), thread.keeps(ms, true)])).toEqual([[true, true], [false, true], [false, false], [false, false]]);
  });

  test('a run that begins when the one before has ended may stay', async () => {
    const thread = new CallingThread();
    const wrapped = async (): Promise<boolean> => await run(thread);
    expect([await run(thread), await run(thread), await run(thread, event), await wrapped(), await wrapped()]).toEqual([false, true, true, true, true]);
  });

  test('a run of another event does not', async () => {
    const thread = new CallingThread();
    await run(thread);
    await event();
    expect(await run(thread)).toBe(false);
  });

  test('runs that overlap do not, nor do some after them', async () => {
    const thread = new CallingThread();
    await run(thread);
    expect(await Promise.all([run(thread), run(thread)])).toEqual([true, false]);
    const after: boolean[] = [];
    for (let i = 0; i < 20; i++) after.push(await run(thread));
    expect(after).toEqual(Array.from({ length: 20 }, (_, i) => i >= 15));
  });

  test('the event loop has its turn before the thread would be held for too long', async () => {
    const thread = new CallingThread();
    let events = 0;
    const timer = setInterval(() => events++, 1);
    for (let i = 0; i < 20; i++) {
      await thread.turn(5)?.wait();
      const begin = performance.now();
      while (performance.now() - begin < 5);
      thread.hold(5);
    }
    clearInterval(timer);
    expect(events).toBeGreaterThan(4);
    await event();
    thread.hold(2);
    expect(thread.turn(14)).toBeNull();
    expect(thread.turn(15)).not.toBeNull();
  });
});
