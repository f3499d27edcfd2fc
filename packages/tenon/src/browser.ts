import { onnx } from '@tenon/frontend-onnx';
import { standardOps } from '@tenon/ops';
import { browserHost } from '@tenon/runtime/browser';
import { createApi } from './api.ts';
import type { Environment } from './environment.ts';

export * from './exports.ts';

/** No compiler of the system's and no files: targets and their loaders are given by the user. */
const environment: Environment = {
  defaults: () => ({ plugins: [standardOps(), onnx()], targets: null }),
  loaders: () => Promise.resolve([]),
  host: () => browserHost(),
  store: () => null,
  identity: () => null,
  absolute: (uri) => uri,
  files: null,
};

export const { compile, load, buildArtifact } = createApi(environment);
