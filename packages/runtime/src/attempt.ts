import { diagnosticOf, TenonError } from '@tenon/plugin';
import type { CallingThread } from './calling-thread.ts';
import type { ConstantStore } from './constants.ts';
import { driveAsync, driveSync, execute, type Execution, RegionFailure, type Result } from './executor.ts';
import type { Prepared } from './prepared.ts';
import type { ProfileRecorder } from './profile.ts';
import { type RegionTable, variantKey } from './regions.ts';
import type { Lending } from './user-memory.ts';

interface Parts {
  readonly regions: RegionTable;
  readonly constants: ConstantStore;
  readonly thread: CallingThread;
}

/**
 * Runs with what is prepared; where a region fails, once more from the start with its next variant. From the start,
 * because a region that failed half-way may have overwritten its arguments in place.
 */
export async function attempt(
  parts: Parts, prepared: Prepared, inputs: readonly (Uint8Array | null)[], lending: Lending | null, signal: AbortSignal | null, recorder: ProfileRecorder | null,
): Promise<readonly Result[]> {
  const failures = new Failures(parts.regions);
  const stays = parts.thread.begin();
  try {
    for (;;) {
      const execution = start(parts, prepared, failures, recorder, signal, false, stays);
      try {
        const results = await driveAsync(execution, execute(execution, inputs, lending));
        failures.report(execution);
        return results;
      } catch (error) {
        failures.add(error);
        await prepared.drain();
        prepared.unbindAll();
        recorder?.restart();
      }
    }
  } finally {
    parts.thread.end();
  }
}

/** Like {@link attempt}, on this thread. */
export function attemptSync(parts: Parts, prepared: Prepared, inputs: readonly (Uint8Array | null)[], lending: Lending | null, recorder: ProfileRecorder | null): readonly Result[] {
  const failures = new Failures(parts.regions);
  for (;;) {
    const execution = start(parts, prepared, failures, recorder, null, true, true);
    try {
      const results = driveSync(execute(execution, inputs, lending));
      failures.report(execution);
      return results;
    } catch (error) {
      failures.add(error);
      prepared.unbindAll();
      recorder?.restart();
    }
  }
}

const start = ({ regions, constants, thread }: Parts, prepared: Prepared, failures: Failures, profile: ProfileRecorder | null, signal: AbortSignal | null, sync: boolean, stays: boolean): Execution =>
  ({ prepared, regions, constants, sync, thread, stays, excluded: failures.excluded, profile, signal, calls: [], transfers: [], used: new Map() });

/** The region failures of one run. A variant is given up for good only once another has succeeded where it failed: the input may be to blame. */
class Failures {
  readonly excluded = new Map<string, string>();
  readonly #list: RegionFailure[] = [];
  readonly #regions: RegionTable;

  constructor(regions: RegionTable) {
    this.#regions = regions;
  }

  /** Throws where there is nothing left to try. */
  add(error: unknown): void {
    if (!(error instanceof RegionFailure)) throw error;
    const { region, variant, cause } = error;
    this.excluded.set(variantKey(region, variant), error.message);
    this.#list.push(error);
    if (this.#regions.hasOther(region, this.excluded)) return;
    if (this.#list.length === 1 && diagnosticOf(cause)) throw cause;
    const said = this.#list.filter((failure) => failure.region === region).map((failure) => `${this.#regions.loader(region, failure.variant).name}: ${failure.message}`);
    throw new TenonError({ code: 'runtime/region-failed', message: `region '${this.#regions.region(region).name}' failed: ${said.join('; ')}` }, { cause });
  }

  report(execution: Execution): void {
    for (const { region, variant, message } of this.#list) {
      const instead = execution.used.get(region);
      if (instead !== undefined) this.#regions.retire(region, variant, instead, message);
    }
  }
}
