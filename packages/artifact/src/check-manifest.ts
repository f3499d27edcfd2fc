import { TenonError } from '@tenon/plugin';
import { checkDimProgram, type DimProgram, dimsOf } from './dim-program.ts';
import { alignment, align } from './format.ts';
import type { ConstantInfo, DimValue, EntryInfo, Instruction, Manifest, RegionInfo } from './manifest.ts';

/**
 * Checks what the runtime relies on: every reference resolves, every formula is well formed and reads only dims that
 * exist, constants lie within their sections. Throws `artifact/invalid-manifest`. A manifest that passes cannot make
 * the runtime read or write outside memory that it allocated, as views are checked against their buffers when made.
 */
export function checkManifest(manifest: Manifest): void {
  try {
    checkTables(manifest);
    manifest.regions.forEach((region, i) => checkRegion(manifest, region, `region ${i} (${region.name})`));
    unique(manifest.entries.map((entry) => entry.name), 'entry');
    for (const entry of manifest.entries) checkEntry(manifest, entry);
  } catch (error) {
    // A part that is missing altogether shows as a TypeError here.
    if (error instanceof TypeError) throw invalid(`a part is missing or of the wrong kind: ${error.message}`);
    throw error;
  }
}

const invalid = (message: string): TenonError => new TenonError({ code: 'artifact/invalid-manifest', message: `the manifest is invalid: ${message}` });

function check(condition: boolean, message: string): asserts condition {
  if (!condition) throw invalid(message);
}

const isSize = (value: unknown): boolean => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;

function unique(names: readonly string[], what: string): Set<string> {
  const set = new Set<string>();
  for (const name of names) {
    check(typeof name === 'string' && !set.has(name), `two of ${what} '${name}'`);
    set.add(name);
  }
  return set;
}

function index(value: number, table: readonly unknown[], where: string): void {
  check(Number.isInteger(value) && value >= 0 && value < table.length, `${where}: ${value} is not one of ${table.length}`);
}

function formula(program: DimProgram, dims: ReadonlySet<string>, where: string): void {
  const problem = checkDimProgram(program);
  check(problem === null, `${where}: ${problem}`);
  for (const name of dimsOf(program)) check(dims.has(name), `${where}: unknown dim '${name}'`);
}

function checkTables(manifest: Manifest): void {
  const sections = new Map(manifest.sections.map((section) => [section.name, section]));
  unique(manifest.sections.map((section) => section.name), 'section');
  let end = 0;
  for (const section of manifest.sections) {
    check(isSize(section.bytes) && section.offset === end, `section '${section.name}' does not follow the one before`);
    end += align(section.bytes);
  }
  check(manifest.devices.length > 0 && manifest.devices[0]!.target === null, 'device 0 is not the host');
  for (const constant of manifest.constants) {
    const where = `constant '${constant.name}'`;
    check(isSize(constant.bytes) && constant.shape.every(isSize), `${where}: sizes`);
    if (constant.data.kind === 'repacked') {
      checkRepacked(manifest, constant, constant.data, where);
      continue;
    }
    check(isSize(constant.data.offset), `${where}: sizes`);
    if (constant.data.kind === 'section') {
      const section = sections.get(constant.data.section);
      check(section !== undefined, `${where}: no section '${constant.data.section}'`);
      check(constant.data.offset % alignment === 0, `${where} is not aligned`);
      check(constant.data.offset + constant.bytes <= section.bytes, `${where} reaches beyond its section`);
    } else {
      check(constant.data.kind === 'external' && typeof constant.data.uri === 'string', `${where}: its data`);
    }
  }
  for (const blob of manifest.blobs) check(sections.has(blob.section), `a blob refers to no section '${blob.section}'`);
}

/** Both layouts hold the same tensor, within the bytes of the two constants. */
function checkRepacked(manifest: Manifest, constant: ConstantInfo, data: Extract<ConstantInfo['data'], { readonly kind: 'repacked' }>, where: string): void {
  const source = manifest.constants[data.of];
  check(source?.data.kind === 'section', `${where}: it is packed from constant ${data.of}, which is in no section`);
  check(data.shape.length > 0 && data.shape.every(isSize), `${where}: sizes`);
  const elements = constant.shape.reduce((a, b) => a * b, 1);
  const width = elements === 0 ? 1 : constant.bytes / elements;
  check([1, 2, 4, 8].includes(width) && source.dtype === constant.dtype, `${where}: elements`);
  for (const [layout, bytes] of [[data.from, source.bytes], [data.to, constant.bytes]] as const) {
    const axes = new Set([layout.axis, ...layout.order]);
    check(layout.order.length === data.shape.length - 1 && axes.size === data.shape.length && [...axes].every((a) => isSize(a) && a < data.shape.length), `${where}: axes of a layout`);
    check(isSize(layout.tile) && layout.tile > 0, `${where}: tiles of a layout`);
    const needed = layout.order.reduce((product, a) => product * data.shape[a]!, Math.ceil(data.shape[layout.axis]! / layout.tile) * layout.tile * width);
    check(needed === bytes, `${where}: a layout takes ${needed} bytes, not ${bytes}`);
  }
}

function checkRegion(manifest: Manifest, region: RegionInfo, where: string): void {
  const dims = unique(region.dims, `${where}: dim`);
  const all = new Set([...dims, ...unique(region.runDims, `${where}: dim`)]);
  check(region.variants.length > 0, `${where} has no variant`);
  for (const variant of region.variants) {
    index(variant.blob, manifest.blobs, `${where}: blob`);
    check(typeof variant.symbol === 'string', `${where}: symbol`);
    for (const constant of variant.constants) index(constant, manifest.constants, `${where}: constant`);
    for (const name of variant.dims) check(dims.has(name), `${where}: unknown dim '${name}'`);
    const returned = unique(variant.runDims, `${where}: dim`);
    check(returned.size === region.runDims.length && region.runDims.every((name) => returned.has(name)), `${where}: a variant returns other dims than the region`);
    if (variant.workspace !== null) formula(variant.workspace, dims, `${where}: workspace`);
    for (const guard of variant.guards) formula(guard, dims, `${where}: guard`);
    for (const kernel of variant.kernels) {
      for (const figure of [kernel.flops, kernel.bytes]) if (figure !== null) formula(figure, all, `${where}: kernel ${kernel.name}`);
    }
  }
}

function checkEntry(manifest: Manifest, entry: EntryInfo): void {
  const where = `entry '${entry.name}'`;
  const dims = unique(entry.dims.map((dim) => dim.name), `${where}: dim`);
  unique(entry.params.map((param) => param.name), `${where}: parameter`);
  unique(entry.results.map((result) => result.name), `${where}: result`);
  for (const dim of entry.dims) {
    check(Number.isSafeInteger(dim.min) && (dim.max === null || dim.max >= dim.min) && dim.multipleOf >= 1, `${where}: range of dim '${dim.name}'`);
    if (dim.binding.kind === 'axis' || dim.binding.kind === 'element') {
      index(dim.binding.param, entry.params, `${where}: dim '${dim.name}'`);
      const param = entry.params[dim.binding.param]!;
      if (dim.binding.kind === 'axis') index(dim.binding.axis, param.shape, `${where}: axis of dim '${dim.name}'`);
      else index(dim.binding.element, param.contents ?? [], `${where}: element of dim '${dim.name}'`);
    }
  }
  for (const tensor of [...entry.params, ...entry.results, ...entry.values]) {
    for (const axis of tensor.shape) formula(axis, dims, `${where}: a shape`);
  }
  for (const param of entry.params) for (const element of param.contents ?? []) if (element !== null) formula(element, dims, `${where}: contents of '${param.name}'`);
  for (const arena of entry.arenas) {
    index(arena.device, manifest.devices, `${where}: device of an arena`);
    formula(arena.bytes, dims, `${where}: bytes of an arena`);
  }
  entry.values.forEach((value, i) => {
    formula(value.bytes, dims, `${where}: bytes of value ${i}`);
    index(value.device, manifest.devices, `${where}: device of value ${i}`);
    const { storage } = value;
    if (storage.kind === 'param') index(storage.index, entry.params, `${where}: value ${i}`);
    else if (storage.kind === 'result') index(storage.index, entry.results, `${where}: value ${i}`);
    else if (storage.kind === 'constant') index(storage.index, manifest.constants, `${where}: value ${i}`);
    else {
      check(storage.kind === 'arena', `${where}: storage of value ${i}`);
      index(storage.arena, entry.arenas, `${where}: arena of value ${i}`);
      formula(storage.offset, dims, `${where}: offset of value ${i}`);
      check(entry.arenas[storage.arena]!.device === value.device, `${where}: value ${i} is on another device than its arena`);
    }
  });
  checkProgram(manifest, entry, entry.program, dims, where);
  const last = entry.program.at(-1);
  check(last?.op === 'return' && last.values.length === entry.results.length, `${where} does not end in a return of its results`);
}

function checkProgram(manifest: Manifest, entry: EntryInfo, program: readonly Instruction[], dims: ReadonlySet<string>, where: string): void {
  const register = (value: number): void => index(value, entry.values, `${where}: a value`);
  const settable = (name: string): void => {
    check(entry.dims.some((dim) => dim.name === name && dim.binding.kind === 'run'), `${where}: dim '${name}' is not bound while running`);
  };
  const dimValue = (value: DimValue): void => {
    if (value.kind === 'formula') return formula(value.formula, dims, where);
    register(value.value);
    check(isSize(value.element), `${where}: an element`);
  };
  program.forEach((instruction, i) => {
    switch (instruction.op) {
      case 'dim':
        settable(instruction.name);
        dimValue(instruction.value);
        break;
      case 'call': {
        index(instruction.region, manifest.regions, `${where}: a region`);
        const region = manifest.regions[instruction.region]!;
        [...instruction.args, ...instruction.results].forEach(register);
        check(instruction.dims.length === region.dims.length, `${where}: a call of '${region.name}' gives ${instruction.dims.length} of ${region.dims.length} dims`);
        check(instruction.runDims.length === region.runDims.length, `${where}: a call of '${region.name}' takes ${instruction.runDims.length} of ${region.runDims.length} returned dims`);
        for (const dim of instruction.dims) formula(dim, dims, where);
        instruction.runDims.forEach(settable);
        break;
      }
      case 'copy':
        register(instruction.from);
        register(instruction.to);
        check(entry.values[instruction.to]!.storage.kind !== 'constant', `${where}: a copy into a constant`);
        break;
      case 'branch':
        dimValue(instruction.condition);
        checkProgram(manifest, entry, instruction.then, dims, where);
        checkProgram(manifest, entry, instruction.otherwise, dims, where);
        break;
      case 'loop':
        if (instruction.trips) dimValue(instruction.trips);
        if (instruction.condition) dimValue(instruction.condition);
        check(instruction.trips !== null || instruction.condition !== null, `${where}: a loop without an end`);
        if (instruction.index !== null) settable(instruction.index);
        checkProgram(manifest, entry, instruction.body, dims, where);
        break;
      case 'return':
        check(program === entry.program && i === program.length - 1, `${where}: a return inside the program`);
        instruction.values.forEach(register);
        break;
      default:
        throw invalid(`${where}: unknown instruction '${String((instruction as { op: unknown }).op)}'`);
    }
  });
}
