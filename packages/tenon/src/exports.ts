// What Node and browsers offer alike.
export type { Api } from './api.ts';
export type { BuiltArtifact } from './build.ts';
export { formatDiagnostic } from './diagnostics.ts';
export type { BuildOptions, CompileOptions, LoadArtifactOptions, LoadOptions, ModelInput, Progress } from './options.ts';
export { defineConfig, definePlugin, diagnosticOf, TenonError } from '@tenon/plugin';
export type { ByteSource, Config, Diagnostic, HostTensor, Loader, Plugin } from '@tenon/plugin';
export { onnx } from '@tenon/frontend-onnx';
export { standardOps } from '@tenon/ops';
export { percentOfLimit, Tensor, tensor } from '@tenon/runtime';
export type { BoundModel, Input, Inputs, KernelProfile, Limits, Model, Outputs, RunOptions, RunProfile, RunResult, TensorInfo } from '@tenon/runtime';
