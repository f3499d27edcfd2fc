// For programs that look inside a compilation, such as the command `tenon`. Less settled than the API for users.
export { inspectModel, placeModel, type Inspection, type PassTiming, type PhaseSnapshot } from './inspect.ts';
export { best, fastestRun, measureCosts, mergeCosts, planSeconds, type Costs, type MeasureOptions, type PlanTimes } from './measure-costs.ts';
export { describeTargets, type TargetDescription } from './node/targets.ts';
export { selfTest } from './node/self-test.ts';
export { artifactFolder, cacheFolder } from './node/environment.ts';
export { openArtifactStore } from './node/artifact-store.ts';
export { writeFileAtomically } from './node/files.ts';
export type { ArtifactStore } from './environment.ts';
export { openDiskCache, nodeHost } from '@tenon/runtime/node';
export { dimsOf, evaluateDim as evaluateFormula, formatDim, openArtifact, type ArtifactFile, type EntryInfo, type Manifest } from '@tenon/artifact';
export { version } from '@tenon/compiler';
export { evaluateDim, nearest, printExpr, printFunction, printModule, printType } from '@tenon/core';
export { readTensor, writeTensor } from '@tenon/frontend-onnx';
export { phases, standardDTypes, type Binding, type ConstantDecl, type Context, type DimDecl, type Expr, type GraphFunction, type IRModule, type LayoutRecord, type PartitionReport, type Phase, type Placement, type RegionPlan, type ScheduleRecord, type TargetShare, type TypedArray, type WhatIf } from '@tenon/plugin';
