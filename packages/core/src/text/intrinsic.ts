import { TenonError, type ExprBuilder, type TensorFunction, type TensorIntrinsic } from '@tenon/plugin';
import { parseModule } from './parse.ts';

/** The description of an intrinsic as a tensor function of this session. Throws `session/intrinsic` where it is none. */
export function descriptionOf(exprs: ExprBuilder, intrinsic: TensorIntrinsic): TensorFunction {
  const module = parseModule(intrinsic.description, exprs, { file: intrinsic.name });
  const [fn] = [...module.functions.values()];
  if (fn?.kind !== 'tensor') {
    throw new TenonError({ code: 'session/intrinsic', message: `the description of ${intrinsic.name} is no tensor function`, hint: 'The plugin that declares the intrinsic is at fault.' });
  }
  return fn;
}
