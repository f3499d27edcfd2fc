/** A second copy of the compiler in one process: modules of ours under URLs of their own. */
import { registerHooks } from 'node:module';
import type * as compiler from '@tenon/compiler';
import type * as ops from '@tenon/ops';

const mark = '?copy=2';

/** Other copies of the packages that the kit compiles with. */
export async function secondCopy(): Promise<{ readonly compiler: typeof compiler; readonly ops: typeof ops }> {
  const hooks = registerHooks({
    resolve(specifier, context, next) {
      const found = next(specifier, context);
      const own = context.parentURL?.endsWith(mark) === true && (specifier.startsWith('.') || specifier.startsWith('@tenon/'));
      return own && found.url.startsWith('file:') && !found.url.endsWith(mark) ? { ...found, url: found.url + mark } : found;
    },
  });
  try {
    const load = (name: string): Promise<unknown> => import(import.meta.resolve(name) + mark);
    return { compiler: (await load('@tenon/compiler')) as typeof compiler, ops: (await load('@tenon/ops')) as typeof ops };
  } finally {
    hooks.deregister();
  }
}
