/**
 * Waits for all, also where one has failed, then throws the first failure. Reads that are under way fill memory which
 * must not be freed before they end.
 */
export async function allDone(promises: readonly Promise<unknown>[]): Promise<void> {
  const results = await Promise.allSettled(promises);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}
