import { openArtifact, sha256, toHex, type ArtifactSink, type Manifest, type WrittenArtifact } from '@tenon/artifact';
import { compile as compileModel, type Compilation, type Earlier } from '@tenon/compiler';
import { validateConfig } from '@tenon/core';
import { TenonError, type ByteSource, type Config, type Diagnostic, type Host, type Loader } from '@tenon/plugin';
import { bytesSource } from '@tenon/runtime';
import { cacheKeys, digest as digestOf, uncacheable } from './cache-key.ts';
import { mergeConfig } from './config.ts';
import { formatDiagnostic } from './diagnostics.ts';
import type { ArtifactStore, Draft, Environment, StoredRecord } from './environment.ts';
import type { BuildOptions, ModelInput } from './options.ts';

/** A compiled model as a file, or in memory where there is no place for a file. */
export interface BuiltArtifact {
  /** `output` of the options, else the file in the cache; null: only in memory. */
  readonly path: string | null;
  readonly bytes: number;
  /** SHA-256 identity. */
  readonly digest: string;
  readonly manifest: Manifest;
  /** Warnings and notes of the compilation. */
  readonly diagnostics: readonly Diagnostic[];
  /** Whether it was compiled before, with nothing changed since. */
  readonly cached: boolean;
  /** Key in the cache; null where it is not kept there. */
  readonly key: string | null;
  /** Why it was not looked for in the cache; null where it was. */
  readonly uncached: string | null;
  read(): Promise<Uint8Array>;
}

/** Everything a compilation starts from. */
export interface Setup {
  readonly host: Host;
  readonly config: Config;
  readonly onDiagnostic: (diagnostic: Diagnostic) => void;
}

export function setUp(env: Environment, options: BuildOptions): Setup {
  const onDiagnostic = options.onDiagnostic ?? warn;
  const host = env.host(options.cache ?? true, onDiagnostic);
  return { host, config: validateConfig(mergeConfig(env.defaults(), options)), onDiagnostic };
}

function warn(diagnostic: Diagnostic): void {
  if (diagnostic.severity === 'warning') console.warn(formatDiagnostic(diagnostic));
}

/** Opens a model. Throws `host/…` diagnostics. */
export async function openModel(model: ModelInput, host: Host): Promise<ByteSource> {
  if (typeof model === 'string') return host.open(model);
  if (ArrayBuffer.isView(model)) return bytesSource('memory:model', model);
  if ('read' in model) return model;
  return host.open(model.href);
}

/** Compiles a model, or takes what an equal compilation made before. With `loaders` it tries what code generators made. */
export async function build(env: Environment, model: ModelInput, options: BuildOptions = {}, loaders: readonly Loader[] = []): Promise<BuiltArtifact> {
  options.signal?.throwIfAborted();
  if (options.output !== undefined && env.files === null) {
    throw new TenonError({ code: 'tenon/no-files', message: 'files cannot be written here', hint: 'leave out `output` and keep the bytes' });
  }
  const defaults = env.defaults();
  const onDiagnostic = options.onDiagnostic ?? warn;
  const host = env.host(options.cache ?? true, onDiagnostic);
  const config = validateConfig(mergeConfig(defaults, options));
  const source = await openModel(model, host);
  try {
    const identity = env.identity();
    const store = env.store(options.cache ?? true, onDiagnostic);
    const uncached = store === null ? 'caching is off' : identity === null ? "the identity of Tenon's code is not known" : uncacheable(config, defaults.plugins);
    let key: string | null = null;
    let kernels: string | null = null;
    let latest: string | null = null;
    if (store !== null && identity !== null && uncached === null) {
      const uri = env.absolute(source.uri);
      const keys = await cacheKeys({
        config, host, source, identity, signal: options.signal, defaultPlugins: defaults.plugins, uri,
        contents: ArrayBuffer.isView(model) ? toHex(await sha256(model as Uint8Array)) : null,
      });
      key = keys.artifact;
      kernels = keys.identity;
      latest = await digestOf({ latest: uri, identity: kernels });
      const found = await lookUp(store, key, host);
      if (found !== null) {
        found.record.diagnostics.forEach(onDiagnostic);
        if (options.output !== undefined) await env.files!.share(found.path, options.output);
        const path = options.output ?? found.path;
        return { ...found.record, path, manifest: found.manifest, cached: true, key, uncached, read: () => readAll(host, path) };
      }
    }
    return await compileAndKeep(env, { host, config, onDiagnostic, source, store, key, kernels, latest, uncached, options, loaders });
  } catch (error) {
    throw options.signal?.aborted ? options.signal.reason : error;
  } finally {
    source.close();
  }
}

interface BuildJob extends Setup {
  readonly source: ByteSource;
  readonly store: ArtifactStore | null;
  readonly key: string | null;
  /** The identity under which what is made of kernels is kept; null: it is not. */
  readonly kernels: string | null;
  /** Under which the host's cache says which artifact was made last of this model's file. */
  readonly latest: string | null;
  readonly uncached: string | null;
  readonly options: BuildOptions;
  readonly loaders: readonly Loader[];
}

async function compileAndKeep(env: Environment, job: BuildJob): Promise<BuiltArtifact> {
  const { host, config, source, store, key, latest, uncached, options, loaders } = job;
  const dependencies: { uri: string; id: string }[] = [];
  const draft = store === null || latest === null ? null : await draftFor(store, latest, host);
  let compilation: Compilation | null = null;
  try {
    const made = compilation = await compileModel(source, {
      config, host: recording(host, dependencies), onDiagnostic: job.onDiagnostic,
      ...(loaders.length === 0 ? {} : { loaders }),
      ...(job.kernels === null ? {} : { identity: job.kernels }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
      ...(options.onProgress === undefined ? {} : { onProgress: (step, done, total) => options.onProgress!({ step, done, total }) }),
    });
    const write = (sink: ArtifactSink, earlier?: Earlier): Promise<WrittenArtifact> => made.write(sink, earlier);
    const record = async (written: WrittenArtifact): Promise<StoredRecord> => ({ ...written, dependencies, diagnostics: made.diagnostics, contents: await made.contents() });
    // What failed may be repaired without any change that the key would see.
    const whole = !made.diagnostics.some((d) => d.code === 'codegen/not-loadable');
    let path = store === null || key === null || !whole ? null : await store.put(key, write, record, draft);
    if (path !== null && latest !== null) await host.cache?.put(latest, new TextEncoder().encode(key!));
    const kept = path === null ? null : key;
    if (options.output !== undefined) {
      if (path === null) await env.files!.write(options.output, write);
      else await env.files!.share(path, options.output);
      path = options.output;
    }
    return await described(made, path, kept, uncached, host);
  } finally {
    (compilation as Compilation | null)?.dispose();
    await draft?.discard();
  }
}

/** A draft from the artifact that was made last of this model's file, before it was changed. */
async function draftFor(store: ArtifactStore, latest: string, host: Host): Promise<Draft | null> {
  const key = await host.cache?.get(latest) ?? null;
  const draft = key === null ? null : await store.draft(new TextDecoder().decode(key));
  // If other files are as they were, so is most of the artifact, it may be presumed.
  if (draft !== null && await unchanged(draft.record.dependencies, host)) draft.copy();
  return draft;
}

async function described(compilation: Compilation, path: string | null, key: string | null, uncached: string | null, host: Host): Promise<BuiltArtifact> {
  const bytes = path === null ? await compilation.toBytes() : null;
  const source = bytes === null ? await host.open(path!) : bytesSource('memory:artifact', bytes);
  try {
    const { digest, manifest, bytes: size } = await openArtifact(source);
    return {
      path, key, uncached, digest, manifest, bytes: size, diagnostics: compilation.diagnostics, cached: false,
      read: async () => bytes ?? readAll(host, path!),
    };
  } finally {
    source.close();
  }
}

/** A kept artifact, if the files it was made from are what they were. */
async function lookUp(store: ArtifactStore, key: string, host: Host): Promise<{ path: string; record: StoredRecord; manifest: Manifest } | null> {
  const found = await store.get(key);
  if (found === null) return null;
  const { path, record, source } = found;
  try {
    if (!await unchanged(record.dependencies, host)) return null;
    const { digest, manifest } = await openArtifact(source);
    return digest === record.digest ? { path, record, manifest } : null;
  } catch {
    // A file that is gone or damaged: the compilation says what is wrong, if it still is.
    return null;
  } finally {
    source.close();
  }
}

/** Whether files are what they were. */
async function unchanged(files: StoredRecord['dependencies'], host: Host): Promise<boolean> {
  try {
    for (const { uri, id } of files) {
      const file = await host.open(uri);
      file.close();
      if (file.id !== id) return false;
    }
    return true;
  } catch {
    return false;
  }
}

/** Notes every file that is opened. */
function recording(host: Host, opened: { uri: string; id: string }[]): Host {
  return {
    name: host.name,
    cache: host.cache,
    now: () => host.now(),
    resolve: (base, relative) => host.resolve(base, relative),
    open: async (uri) => {
      const source = await host.open(uri);
      opened.push({ uri, id: source.id });
      return source;
    },
  };
}

async function readAll(host: Host, path: string): Promise<Uint8Array> {
  const source = await host.open(path);
  try {
    return await source.read(0, source.bytes);
  } finally {
    source.close();
  }
}
