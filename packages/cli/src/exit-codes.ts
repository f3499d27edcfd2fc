import type { Diagnostic } from 'tenon';

/** What the command's exit code says. Part of its interface: documented in the README and in `tenon help`. */
export const exitCodes = {
  ok: 0,
  /** The thing asked about is not right: an unsupported operator, a failed check or verification. */
  notRight: 1,
  /** The command line is wrong, or the inputs given do not fit the model. */
  usage: 2,
  /** A file that was given is missing, malformed or damaged. */
  badInput: 3,
  /** This machine lacks something: a C compiler, memory, a folder that can be written. */
  environment: 4,
  /** A defect of Tenon or of a plugin. */
  internal: 70,
  /** Stopped by Ctrl-C. */
  interrupted: 130,
} as const;

export const exitCodeDocs: readonly (readonly [number, string])[] = [
  [exitCodes.ok, 'all is well'],
  [exitCodes.notRight, 'what was asked about is not right: unsupported operators, a failed check or verification'],
  [exitCodes.usage, 'the command line is wrong, or the inputs given do not fit the model'],
  [exitCodes.badInput, 'a file is missing, malformed or damaged (a model, an artifact, a configuration, data)'],
  [exitCodes.environment, 'this machine lacks something: a C compiler, memory, a folder that can be written'],
  [exitCodes.internal, 'a defect of Tenon or of a plugin: please report it'],
  [exitCodes.interrupted, 'stopped by Ctrl-C'],
];

/** By code, the most specific pattern first. A diagnostic that matches none is a defect: those are for users to act on. */
const byCode: readonly (readonly [RegExp, number])[] = [
  [/^(usage|runtime\/(inputs|unknown-|missing-input|dtype$|shape|contents|tensor$|dim-range|unbound-dim|output$|int64-overflow))/, exitCodes.usage],
  [/^(config\/unknown-pass|partition\/(unknown-target|too-many-targets)|onnx\/(dim-option|unknown-dim)|target\/|cpu-c\/(bad-option|standalone-name|unknown-march))/, exitCodes.usage],
  [/^(onnx\/(unsupported-|dynamic-|training)|partition\/(unsupported|require)|op\/(unknown|symbolic|shape-unknown|no-inference|too-large)|link\/binding|cpu-c\/(unsupported-|not-standalone)|session\/(contract-level|conflict|duplicate-plugin))/, exitCodes.notRight],
  [/^(onnx|session)\/internal/, exitCodes.internal],
  [/^(cpu-c\/(no-compiler|other-machine|load-failed|no-threads|out-of-memory)|tenon\/(unwritable|no-koffi)|runtime\/(out-of-memory|no-variant)|host\/(unreachable|http|cache-))/, exitCodes.environment],
  [/^(onnx|op|model|host|artifact|config|npy|file)\//, exitCodes.badInput],
  [/^runtime\/external-changed/, exitCodes.badInput],
];

export function exitCodeOf(diagnostic: Diagnostic): number {
  return byCode.find(([pattern]) => pattern.test(diagnostic.code))?.[1] ?? exitCodes.internal;
}
