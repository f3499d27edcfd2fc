import { expect, test } from 'vitest';
import { hostUserMemory } from './host-device.ts';
import { largePage } from './large-pages.ts';

test('memory of the user that runs keep coming back to gets large pages, once', () => {
  const added: { readonly bytes: number; readonly address: bigint }[] = [];
  const begin = BigInt(largePage) * 5n + 16n;
  const memory = hostUserMemory(() => begin, { largePages: { add: ({ length }, address) => added.push({ bytes: length, address }) } });
  const once = new Uint8Array(3 * largePage);
  const small = new Uint8Array(largePage);
  const again = new Uint8Array(3 * largePage);
  memory.borrow(once);
  for (let i = 0; i < 100; i++) for (const array of [small, again]) memory.borrow(array);
  expect(added).toEqual([{ bytes: 2 * largePage + 16, address: BigInt(largePage) * 6n }]);
});
