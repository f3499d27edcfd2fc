import type { ArtifactFile, SectionInfo } from '@tenon/artifact';

/** Milliseconds of hashing before other work of the thread gets its turn. */
const sliceMilliseconds = 8;

/**
 * Compares sections with their hashes after they have been read, while the first run is already under way. Results are
 * returned only once everything that was read has been compared.
 */
export interface Verification {
  /** Takes on the padded bytes of a section, which must not change. */
  add(section: SectionInfo, bytes: Uint8Array): void;
  /** Resolves when all is compared. Rejects with `artifact/corrupt`, also for every later call. */
  finish(): Promise<void>;
  /** Compares what is left, at once. */
  finishSync(): void;
  /** Leaves the rest uncompared: its memory is about to be freed. */
  stop(): void;
}

export function createVerification(file: ArtifactFile): Verification {
  const tasks: { readonly section: SectionInfo; readonly bytes: Uint8Array; next: number }[] = [];
  let failure: { readonly error: unknown } | null = null;
  let running: Promise<void> | null = null;

  /** One chunk; false where none is left. */
  const step = (): boolean => {
    if (failure) throw failure.error;
    const task = tasks[0];
    if (!task) return false;
    if (task.next === file.chunksOf(task.section)) {
      tasks.shift();
      return tasks.length > 0;
    }
    const [begin, length] = file.chunkRange(task.section, task.next);
    try {
      file.checkChunk(task.section, task.next, task.bytes.subarray(begin, begin + length));
    } catch (error) {
      failure = { error };
      throw error;
    }
    task.next++;
    return true;
  };

  const runAll = async (): Promise<void> => {
    for (;;) {
      const until = performance.now() + sliceMilliseconds;
      do {
        if (!step()) return;
      } while (performance.now() < until);
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  };

  return {
    add(section, bytes) {
      tasks.push({ section, bytes, next: 0 });
    },
    finish() {
      if (failure) return Promise.reject(failure.error);
      if (tasks.length === 0) return Promise.resolve();
      running ??= runAll().finally(() => {
        running = null;
      });
      return running;
    },
    finishSync() {
      while (step());
    },
    stop() {
      tasks.length = 0;
    },
  };
}
