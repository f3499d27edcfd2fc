export { Session, concreteAttrs, type ResolvedTarget, type SessionOptions } from './session.ts';
export { packInline } from './constants.ts';
