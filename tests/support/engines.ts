import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { ByteSource, Config, GraphFunction, HostTensor, IRModule } from '@tenon/plugin';
import { compile, compileModule, importModel, type Compilation, type CompileOptions } from '@tenon/compiler';
import type { Session } from '@tenon/core';
import { onnx } from '@tenon/frontend-onnx';
import { evaluateGraph } from '@tenon/interp';
import { standardOps } from '@tenon/ops';
import { createRuntime, type Model } from '@tenon/runtime';
import { nodeHost } from '@tenon/runtime/node';
import { cpuC } from '@tenon/target-cpu-c';
import { cpuC as cpuCLoader } from '@tenon/target-cpu-c/loader';
import { cacheFolder } from './data.ts';

/** A model that is ready to run. */
export interface Runnable {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Tensors in the order of `inputs`; results in the order of `outputs`. */
  run(inputs: readonly HostTensor[]): Promise<readonly HostTensor[]>;
  dispose(): void;
}

/** One way to get from an ONNX file to results. `make` instead of a file: a module made in the compilation's session. */
export interface Engine {
  prepare(model: string): Promise<Runnable>;
  prepareModule(make: (session: Session) => IRModule | Promise<IRModule>): Promise<Runnable>;
}

/** Compiled objects are kept between runs, in the repository. */
export const host = nodeHost({ cacheFolder: join(cacheFolder, 'objects') });
const frontendPlugins: Config = { plugins: [standardOps(), onnx()] };
export const cpuConfig: Config = { plugins: [standardOps(), onnx(), cpuC()], targets: ['cpu-c'] };

/** The reference evaluation of the imported and canonicalized model. */
const interp: Engine = {
  async prepare(path) {
    const { module, session } = await importModel(await host.open(path), { config: frontendPlugins, host });
    return evaluated(module, session);
  },
  prepareModule: () => Promise.reject(new Error('the reference evaluation takes model files only')),
};

function evaluated(module: IRModule, session: Session): Runnable {
  const main = module.functions.get('main') as GraphFunction;
  return {
    inputs: main.params.map((p) => p.name),
    outputs: main.resultNames,
    run: (inputs) => evaluateGraph(module, main, inputs, session),
    dispose: () => session.end(),
  };
}

/** Compiled to C for this machine and run by the runtime. */
const cpu: Engine = {
  prepare: async (path) => load(await compile(await host.open(path), { config: cpuConfig, host })),
  prepareModule: async (make) => load(await compileModule(make, { config: cpuConfig, host })),
};

/** Loads a finished compilation, and disposes it. */
export async function load(compilation: Compilation, threads: number = availableParallelism()): Promise<Runnable & { readonly model: Model }> {
  let artifact: Uint8Array;
  try {
    artifact = await compilation.toBytes();
  } finally {
    compilation.dispose();
  }
  return loadArtifact(artifact, threads);
}

/** Loads an artifact. */
export async function loadArtifact(artifact: Uint8Array, threads: number): Promise<Runnable & { readonly model: Model }> {
  const model = await createRuntime({ loaders: [cpuCLoader()], host, allowNative: true, threads }).load(artifact);
  const inputs = model.inputs.map((i) => i.name);
  const outputs = model.outputs.map((o) => o.name);
  return {
    model, inputs, outputs,
    async run(tensors) {
      const results = await model.run(Object.fromEntries(inputs.map((name, i) => [name, tensors[i]!])));
      return outputs.map((name) => results[name]!);
    },
    dispose: () => model.dispose(),
  };
}

/** Compiles a model file for the C target. */
export async function compileFile(source: ByteSource, options: Omit<CompileOptions, 'config' | 'host'> = {}): Promise<Compilation> {
  return compile(source, { config: cpuConfig, host, ...options });
}

export const engines: { readonly [target: string]: Engine } = { interp, 'cpu-c': cpu };
