import type { ArtifactFile, SectionInfo } from '@tenon/artifact';

/** Milliseconds of hashing on this thread before other work gets its turn. */
const sliceMilliseconds = 8;

/** Computes hashes on other threads: of every `chunkBytes` of some memory. */
export type Hasher = (memory: Uint8Array, chunkBytes: number) => Promise<BigUint64Array>;

/**
 * Compares sections with their hashes after they have been read, while the first run is already under way. Results are
 * returned only once everything that was read has been compared.
 */
export interface Verification {
  /** Takes on bytes of a padded section, whole chunks from `begin` on, which must not change. */
  add(section: SectionInfo, begin: number, bytes: Uint8Array): void;
  /** From now on hashes are computed elsewhere. Until then, and without this, on this thread once {@link finish} is called. */
  use(hasher: Hasher): void;
  /** Resolves when all is compared. Rejects with `artifact/corrupt`, also for every later call. */
  finish(): Promise<void>;
  /** Compares what is left, at once. */
  finishSync(): void;
  /** Leaves the rest uncompared: its memory is about to be freed. */
  stop(): void;
}

/** Chunks that are to be compared. */
interface Task {
  readonly section: SectionInfo;
  readonly bytes: Uint8Array;
  /** The first chunk, and how many of them have been compared. */
  readonly first: number;
  done: number;
}

export function createVerification(file: ArtifactFile): Verification {
  const { chunkBytes } = file;
  /** Not begun, or begun on this thread. */
  const tasks: Task[] = [];
  /** Under way on other threads. */
  const away = new Map<Task, Promise<void>>();
  let hasher: Hasher | null = null;
  let failure: { readonly error: unknown } | null = null;
  let running: Promise<void> | null = null;

  const checked = (check: () => void): void => {
    if (failure) throw failure.error;
    try {
      check();
    } catch (error) {
      failure = { error };
      throw error;
    }
  };

  /** One chunk of a task; false where none is left. */
  const stepOf = (task: Task): boolean => {
    const begin = task.done * chunkBytes;
    if (begin >= task.bytes.length) return false;
    checked(() => file.checkChunk(task.section, task.first + task.done, task.bytes.subarray(begin, begin + chunkBytes)));
    task.done++;
    return true;
  };
  const step = (): boolean => {
    if (failure) throw failure.error;
    const [task] = tasks;
    if (task && !stepOf(task)) tasks.shift();
    return tasks.length > 0;
  };

  const send = (task: Task, compute: Hasher): void => {
    const rest = task.bytes.subarray(task.done * chunkBytes);
    const compared = compute(rest, chunkBytes).then(
      (hashes) => {
        if (!away.delete(task)) return; // compared on this thread in the meantime, or stopped
        checked(() => hashes.forEach((hash, i) => file.checkHash(task.section, task.first + task.done + i, hash)));
      },
      () => {
        // Whatever hinders it there does not here.
        if (away.delete(task)) tasks.push(task);
        hasher = null;
      },
    );
    compared.catch(() => {});
    away.set(task, compared);
  };

  const runAll = async (): Promise<void> => {
    while (tasks.length > 0 || away.size > 0) {
      if (away.size > 0) {
        await Promise.all(away.values());
        continue;
      }
      const until = performance.now() + sliceMilliseconds;
      while (step() && performance.now() < until);
      if (tasks.length > 0) await new Promise((resolve) => setTimeout(resolve, 0));
    }
  };

  return {
    add(section, begin, bytes) {
      const task: Task = { section, bytes, first: begin / chunkBytes, done: 0 };
      if (hasher) send(task, hasher);
      else tasks.push(task);
    },
    use(compute) {
      hasher = compute;
      for (const task of tasks.splice(0)) send(task, compute);
    },
    finish() {
      if (failure) return Promise.reject(failure.error);
      if (tasks.length === 0 && away.size === 0) return Promise.resolve();
      running ??= runAll().finally(() => {
        running = null;
      });
      return running;
    },
    finishSync() {
      tasks.push(...away.keys());
      away.clear();
      while (step());
    },
    stop() {
      tasks.length = 0;
      away.clear();
    },
  };
}
