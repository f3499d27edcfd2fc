export { descriptionOf } from './intrinsic.ts';
export { parseExpr, parseModule, parseTypeText, type ParseOptions } from './parse.ts';
export { printBinding, printExpr, printFunction, printModule, printType, type PrintOptions } from './print.ts';
