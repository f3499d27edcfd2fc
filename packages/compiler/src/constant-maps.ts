import { axisMappedShape, mapAxes, type AxisMap } from './axis-maps.ts';
import { blockMappedShape, mapBlocks, type BlockMap } from './block-map.ts';

/** A linear map that is applied to a constant before it is laid out. */
export type ConstantMap = AxisMap | BlockMap;

const isBlockMap = (map: ConstantMap): map is BlockMap => 'axes' in map;

/** The shape of a constant after maps. */
export const mappedShape = (shape: readonly number[], maps: readonly ConstantMap[]): number[] =>
  maps.reduce<number[]>((now, map) => (isBlockMap(map) ? blockMappedShape(now, map) : axisMappedShape(now, [map])), [...shape]);

/** Applies maps to a row-major tensor, one after the other. Those along axes that follow each other round once. */
export function mapConstant(values: Float32Array, shape: readonly number[], maps: readonly ConstantMap[]): Float32Array {
  const [first] = maps;
  if (first === undefined) return values;
  const end = isBlockMap(first) ? 1 : maps.findIndex(isBlockMap);
  const these = end < 0 ? maps : maps.slice(0, end);
  const mapped = isBlockMap(first) ? mapBlocks(values, shape, first) : mapAxes(values, shape, these as readonly AxisMap[]);
  return mapConstant(mapped, mappedShape(shape, these), maps.slice(these.length));
}
