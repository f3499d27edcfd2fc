import type { ByteSource, Loader } from '@tenon/plugin';
import { diagnosticOf } from '@tenon/plugin';
import { createRuntime, type Model } from '@tenon/runtime';
import { build, type BuiltArtifact } from './build.ts';
import type { Environment } from './environment.ts';
import type { BuildOptions, CompileOptions, LoadArtifactOptions, LoadOptions, ModelInput } from './options.ts';

/** What users call. */
export interface Api {
  /** Compiles a model for this machine and loads it. An unchanged model comes from the cache. Throws errors that carry a diagnostic (`diagnosticOf`). */
  compile(model: ModelInput, options?: CompileOptions): Promise<Model>;
  /** Loads an artifact that was compiled before, from a path, a URL, its bytes, or a source. */
  load(artifact: string | URL | Uint8Array | ByteSource, options?: LoadArtifactOptions): Promise<Model>;
  /** Compiles a model without loading it. */
  buildArtifact(model: ModelInput, options?: BuildOptions): Promise<BuiltArtifact>;
}

export function createApi(env: Environment): Api {
  const load = async (artifact: string | URL | Uint8Array | ByteSource, options: LoadOptions, allowNative: boolean): Promise<Model> => {
    const runtime = createRuntime({
      loaders: mergeLoaders(await env.loaders(), options.loaders ?? []), host: env.host(false, () => {}), allowNative, threads: options.threads ?? 0,
    });
    return runtime.load(artifact, {
      ...(options.loadDims === undefined ? {} : { dims: options.loadDims }),
      ...(options.verify === undefined ? {} : { verify: options.verify }),
    });
  };
  const loadBuilt = async (built: BuiltArtifact, options: CompileOptions): Promise<Model> => load(built.path ?? (await built.read()), options, true);

  return {
    load: (artifact, options = {}) => load(artifact, options, options.allowNative ?? false),
    buildArtifact: (model, options) => build(env, model, options),
    async compile(model, options = {}) {
      const built = await build(env, model, options, options.loaders);
      try {
        return await loadBuilt(built, options);
      } catch (error) {
        const code = diagnosticOf(error)?.code ?? '';
        if (!built.cached || built.key === null || !/^(artifact|host)\//.test(code)) throw error;
        // What the cache holds was damaged since it was written.
        await env.store(options.cache ?? true, () => {})?.remove(built.key);
        return loadBuilt(await build(env, model, options, options.loaders), options);
      }
    },
  };
}

function mergeLoaders(defaults: readonly Loader[], own: readonly Loader[]): readonly Loader[] {
  const names = new Set(own.map((loader) => loader.name));
  return [...defaults.filter((loader) => !names.has(loader.name)), ...own];
}
