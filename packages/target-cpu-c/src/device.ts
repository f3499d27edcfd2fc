import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { availableParallelism, cpus, totalmem } from 'node:os';
import type { DeviceModel } from '@tenon/plugin';
import type { Toolchain } from './toolchain.ts';

/** Instruction set extensions: the compiler's macro and the name in Linux's /proc/cpuinfo. */
const extensions: { readonly [arch: string]: readonly (readonly [string, string])[] } = {
  x64: [
    ['__SSE3__', 'pni'], ['__SSSE3__', 'ssse3'], ['__SSE4_1__', 'sse4_1'], ['__SSE4_2__', 'sse4_2'], ['__POPCNT__', 'popcnt'],
    ['__AVX__', 'avx'], ['__AVX2__', 'avx2'], ['__FMA__', 'fma'], ['__F16C__', 'f16c'], ['__BMI__', 'bmi1'], ['__BMI2__', 'bmi2'],
    ['__LZCNT__', 'abm'], ['__MOVBE__', 'movbe'], ['__ADX__', 'adx'], ['__GFNI__', 'gfni'],
    ['__AVX512F__', 'avx512f'], ['__AVX512BW__', 'avx512bw'], ['__AVX512CD__', 'avx512cd'], ['__AVX512DQ__', 'avx512dq'], ['__AVX512VL__', 'avx512vl'],
    ['__AVX512VNNI__', 'avx512_vnni'], ['__AVX512VBMI__', 'avx512vbmi'], ['__AVX512VBMI2__', 'avx512_vbmi2'], ['__AVX512BITALG__', 'avx512_bitalg'],
    ['__AVX512VPOPCNTDQ__', 'avx512_vpopcntdq'], ['__AVX512IFMA__', 'avx512ifma'], ['__AVX512BF16__', 'avx512_bf16'], ['__AVX512FP16__', 'avx512_fp16'],
    ['__AVXVNNI__', 'avx_vnni'],
  ],
  arm64: [
    ['__ARM_FEATURE_ATOMICS', 'atomics'], ['__ARM_FEATURE_FP16_VECTOR_ARITHMETIC', 'asimdhp'], ['__ARM_FEATURE_DOTPROD', 'asimddp'],
    ['__ARM_FEATURE_MATMUL_INT8', 'i8mm'], ['__ARM_FEATURE_BF16_VECTOR_ARITHMETIC', 'bf16'], ['__ARM_FEATURE_SVE', 'sve'], ['__ARM_FEATURE_SVE2', 'sve2'],
  ],
};

/** The processors that the compiler makes code for, as `process.arch` names them. It may be a cross compiler. */
export function archOf(macros: ReadonlyMap<string, string>): string {
  return macros.has('__x86_64__') ? 'x64' : macros.has('__aarch64__') ? 'arm64' : process.arch;
}

/** The extensions that code of this compiler may use, by their names in /proc/cpuinfo. */
export function requiredFeatures(macros: ReadonlyMap<string, string>): string[] {
  return (extensions[archOf(macros)] ?? []).filter(([macro]) => macros.has(macro)).map(([, name]) => name);
}

/** Bytes of the vector registers that the compiler may use. */
export function vectorBytesOf(macros: ReadonlyMap<string, string>): number {
  if (['__AVX512F__', '__AVX512BW__', '__AVX512DQ__', '__AVX512VL__'].every((m) => macros.has(m))) return 64;
  return macros.has('__AVX2__') ? 32 : 16;
}

/** Describes this machine as the compiler sees it. */
export function describeDevice(toolchain: Toolchain, options: { readonly vectorBytes?: number | undefined; readonly threads?: number | undefined; readonly weightGrowth?: number | undefined }): DeviceModel {
  const { macros } = toolchain;
  const vectorBytes = options.vectorBytes ?? vectorBytesOf(macros);
  const cores = availableParallelism();
  const threads = options.threads !== undefined && options.threads > 0 ? options.threads : cores;
  const fma = macros.has('__FMA__') || macros.has('__aarch64__');
  const hertz = clockRate();
  // Two vector units, each a fused multiply-add per cycle: what current server and desktop cores have. Zen 4 computes
  // 512 bits in two halves; compilers that do not know it take it for Zen 3, which has no such vectors.
  const units = vectorBytes === 64 && (macros.has('__znver4__') || macros.has('__znver3__')) ? 1 : 2;
  // Threads of one core share its vector units.
  const computing = Math.min(threads, physicalCores() ?? cores);
  const perSecond = (bytes: number): number => computing * hertz * (vectorBytes / bytes) * (fma ? 2 : 1) * units;
  const caches = cacheSizes();
  return {
    name: `${archOf(macros) === process.arch && cpus()[0]?.model.trim() || archOf(macros)}, ${threads} threads, ${vectorBytes * 8}-bit vectors`,
    peak: { f32: perSecond(4), f64: perSecond(8), i32: perSecond(4) / 2, i64: perSecond(8) / 2 },
    // No system tells it, and a measurement would make estimates differ from one compilation to the next: what a core of
    // current machines reads, up to where memory channels are shared. `tenon bench --costs` measures what kernels take.
    bandwidth: 12e9 * Math.min(computing, 4),
    launch: { region: 2e-6, kernel: 3e-7 },
    transfer: null,
    memory: [{ space: 'host', bytes: totalmem() }],
    features: {
      vectorBytes,
      vectorRegisters: vectorBytes === 64 || macros.has('__aarch64__') ? 32 : 16,
      fma,
      cores,
      threads,
      ...(options.weightGrowth === undefined ? {} : { weightGrowth: options.weightGrowth }),
      l1: caches.l1,
      l2: caches.l2,
      l3: caches.l3,
      arch: archOf(macros),
      platform: process.platform,
      extensions: requiredFeatures(macros),
      compiler: toolchain.version,
      compilerPath: toolchain.cc,
    },
  };
}

/** Cycles per second. Virtual machines and sandboxes may hide it: then what most processors have at least. */
function clockRate(): number {
  const told = cpus()[0]?.speed ?? 0;
  if (told > 0) return told * 1e6;
  const listed = Number(/^cpu MHz\s*:\s*([\d.]+)/m.exec(read('/proc/cpuinfo') ?? '')?.[1] ?? 0);
  return listed > 0 ? Math.round(listed) * 1e6 : 2.5e9;
}

/** Cores, of which each may be several processors; null where the system does not tell. */
function physicalCores(): number | null {
  if (process.platform !== 'linux') return null;
  const siblings = new Set<string>();
  for (let i = 0; i < cpus().length; i++) {
    const list = read(`/sys/devices/system/cpu/cpu${i}/topology/thread_siblings_list`);
    if (list === null) return null;
    siblings.add(list.trim());
  }
  return siblings.size === 0 ? null : siblings.size;
}

function read(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}

/** Data caches of one core (level 3: shared by all), in bytes. */
interface CacheSizes {
  readonly l1: number;
  readonly l2: number;
  readonly l3: number;
}

/** Cache sizes as the system tells them; where it does not, sizes that hardly any machine is below. */
function cacheSizes(): CacheSizes {
  const found = { l1: 32 << 10, l2: 256 << 10, l3: 4 << 20 };
  try {
    if (process.platform === 'linux') {
      const folder = '/sys/devices/system/cpu/cpu0/cache';
      for (const index of readdirSync(folder).filter((name) => name.startsWith('index'))) {
        const tell = (file: string): string => readFileSync(`${folder}/${index}/${file}`, 'utf8').trim();
        const level = `l${tell('level')}`;
        const size = /^(\d+)([KMG]?)$/.exec(tell('size'));
        if (tell('type') === 'Instruction' || size === null || !(level in found)) continue;
        found[level as keyof CacheSizes] = Number(size[1]) * { '': 1, K: 1 << 10, M: 1 << 20, G: 1 << 30 }[size[2] as '' | 'K' | 'M' | 'G'];
      }
    } else if (process.platform === 'darwin') {
      const ask = (name: string): number => Number(execFileSync('sysctl', ['-n', name], { encoding: 'utf8' }));
      found.l1 = ask('hw.l1dcachesize') || found.l1;
      found.l2 = ask('hw.l2cachesize') || found.l2;
      // Apple silicon has no third level that one core may count on.
      found.l3 = found.l2;
    }
  } catch {
    // Containers and sandboxes may hide any of this.
  }
  return found;
}
