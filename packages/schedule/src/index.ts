export { computeForm, fromStages, isVariable, nest, stageOf, stagesOf, stageStmt, type ComputeForm, type Stage, type StagedFunction } from './stages.ts';
export { declaredBuffers, declaredVariables, Names, renameExpr, renameStmt } from './rename.ts';
export { computeInline, countLoads, inlinable, stageScope } from './inline.ts';
export { decomposeReductions, lower, simplifyStmt } from './lower.ts';
export { alloc, flatIndex, loop, loops, parallelOver, stepped, store, vectorLoop, type LoopContext } from './loops.ts';
export { linearIn, type Linear } from './linear.ts';
