import type { LayoutRecord, PartitionReport, Placement, ScheduleRecord } from '@tenon/plugin';
import type { DimProgram } from './dim-program.ts';

/** Data as JSON holds it. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

/** Everything of an artifact except the bytes of its sections. Plain data; references are indices unless said otherwise. */
export interface Manifest {
  readonly info: ArtifactInfo;
  /** In file order. Written by the writer. */
  readonly sections: readonly SectionInfo[];
  /** Memories that values live in. Device 0 is the host. */
  readonly devices: readonly DeviceInfo[];
  readonly constants: readonly ConstantInfo[];
  readonly blobs: readonly BlobSection[];
  readonly regions: readonly RegionInfo[];
  /** What users call, `main` first. */
  readonly entries: readonly EntryInfo[];
  readonly report: ArtifactReport;
}

export interface ArtifactInfo {
  /** Name and version of the compiler. */
  readonly compiler: string;
  /** Name and identity of the model that was compiled. */
  readonly model: { readonly name: string; readonly id: string } | null;
  readonly targets: readonly string[];
  readonly options: { readonly [name: string]: Json };
}

export interface ArtifactReport {
  /** Where each operator runs and why. */
  readonly placements: readonly Placement[];
  /** The partition as a whole; absent where there is only the host. */
  readonly partition?: PartitionReport;
  /** Which schedule rule took each kernel and why; absent where the compiler says nothing of it. */
  readonly schedules?: readonly ScheduleRecord[];
  /** Values that lie otherwise than the model has them. */
  readonly layouts?: readonly LayoutRecord[];
}

/** A named run of bytes, 64-byte aligned in the file. */
export interface SectionInfo {
  /** Unique. */
  readonly name: string;
  readonly kind: 'constants' | 'blob' | 'other';
  /** From the start of the data area. */
  readonly offset: number;
  readonly bytes: number;
}

/** A memory and the target whose device it belongs to; the target of device 0, the host, is null. */
export interface DeviceInfo {
  readonly name: string;
  readonly target: string | null;
}

/** Dense, row-major, little-endian, unless the region that uses it was compiled for something else (packed weights). */
export interface ConstantInfo {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: number;
  readonly data:
    | { readonly kind: 'section'; readonly section: string; /** Within the section, a multiple of 64. */ readonly offset: number }
    | {
        /** Packed anew from constant `of`, which is in a section: the same tensor of this shape, in tiles of other sizes. */
        readonly kind: 'repacked';
        readonly of: number;
        readonly shape: readonly number[];
        readonly from: PackedLayout;
        readonly to: PackedLayout;
      }
    | { readonly kind: 'external'; /** Relative to the artifact. */ readonly uri: string; /** Identity of the file, see `ByteSource.id`; null: not checked. */ readonly id: string | null; readonly offset: number };
}

/** A tensor in tiles along one axis: `[ceil(size / tile), other axes in `order`, tile]`, the last tile filled up with zeros. */
export interface PackedLayout {
  readonly axis: number;
  readonly tile: number;
  /** The other axes. */
  readonly order: readonly number[];
}

/** A loader's input. */
export interface BlobSection {
  readonly section: string;
  readonly target: string;
  readonly format: string;
  readonly formatVersion: number;
  /** What it needs of the machine; its loader compares. */
  readonly requires: { readonly [name: string]: Json };
}

/** A piece of the model that runs as one call. Formulas of its variants are over `dims` (and `runDims`, for the figures of kernels). */
export interface RegionInfo {
  readonly name: string;
  /** Formal dims, given by each call. */
  readonly dims: readonly string[];
  /** Formal dims that a run of the region finds out. */
  readonly runDims: readonly string[];
  /** In order of preference. */
  readonly variants: readonly RegionVariant[];
}

export interface RegionVariant {
  readonly blob: number;
  readonly symbol: string;
  /** Constants that it takes as views after parameters and results. */
  readonly constants: readonly number[];
  /** The dims that its entry takes, in order: names among the region's `dims`. */
  readonly dims: readonly string[];
  /** The dims that its entry returns, in order: a permutation of the region's `runDims`. */
  readonly runDims: readonly string[];
  /** Bytes; null: no workspace argument. */
  readonly workspace: DimProgram | null;
  /** All must be non-zero for the variant to be used. */
  readonly guards: readonly DimProgram[];
  /** In launch order. */
  readonly kernels: readonly ArtifactKernel[];
}

export interface ArtifactKernel {
  readonly name: string;
  readonly ops: readonly string[];
  readonly locs: readonly string[];
  readonly flops: DimProgram | null;
  readonly bytes: DimProgram | null;
}

/** A function that users call. */
export interface EntryInfo {
  readonly name: string;
  readonly params: readonly ParamInfo[];
  readonly results: readonly ResultInfo[];
  readonly dims: readonly DimInfo[];
  readonly values: readonly ValueInfo[];
  readonly arenas: readonly ArenaInfo[];
  /** Ends in its only `return`. */
  readonly program: readonly Instruction[];
}

export interface ParamInfo {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly DimProgram[];
  /** What its elements must be, by position, where they are dims (a parameter that decides shapes); null: data. */
  readonly contents: readonly (DimProgram | null)[] | null;
}
export interface ResultInfo {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly DimProgram[];
}

export interface DimInfo {
  readonly name: string;
  readonly min: number;
  readonly max: number | null;
  readonly multipleOf: number;
  readonly binding:
    | { readonly kind: 'axis'; readonly param: number; readonly axis: number }
    | { readonly kind: 'element'; readonly param: number; readonly element: number }
    | { readonly kind: 'load' } // given when the artifact is loaded
    | { readonly kind: 'run' }; // set by the program: `dim`, a call's `runDims`, a loop's `index`
}

/** A register of the program: a dense tensor at a fixed place. */
export interface ValueInfo {
  readonly dtype: string;
  readonly shape: readonly DimProgram[];
  /**
   * Bytes to reserve. Where `shape` has dims that are only known once the value has been computed, an upper bound in
   * dims known before.
   */
  readonly bytes: DimProgram;
  /** Not used where `storage` is a constant: constants are where they are read. */
  readonly device: number;
  readonly storage:
    | { readonly kind: 'param'; readonly index: number }
    | { readonly kind: 'result'; readonly index: number } // memory of its own, becoming the result without a copy where that is possible
    | { readonly kind: 'constant'; readonly index: number }
    | { readonly kind: 'arena'; readonly arena: number; /** Bytes, a multiple of 64. */ readonly offset: DimProgram };
}

/** One allocation that values share. It is made when first used, with the dims known then, and stays as it is for the rest of the run. */
export interface ArenaInfo {
  readonly device: number;
  readonly bytes: DimProgram;
}

/** An integer: a formula, or the element of an integer or boolean register (row-major position). */
export type DimValue =
  | { readonly kind: 'formula'; readonly formula: DimProgram }
  | { readonly kind: 'element'; readonly value: number; readonly element: number };

export type Instruction =
  | { readonly op: 'dim'; readonly name: string; readonly value: DimValue }
  | {
      readonly op: 'call';
      readonly region: number;
      readonly args: readonly number[];
      readonly results: readonly number[];
      /** Values of the region's `dims`, in order. */
      readonly dims: readonly DimProgram[];
      /** The entry's dims that receive the region's `runDims`, in order. */
      readonly runDims: readonly string[];
    }
  | { readonly op: 'copy'; readonly from: number; readonly to: number }
  | { readonly op: 'branch'; /** True if non-zero. */ readonly condition: DimValue; readonly then: readonly Instruction[]; readonly otherwise: readonly Instruction[] }
  | {
      readonly op: 'loop';
      /** Number of iterations; null: as long as `condition` holds. */
      readonly trips: DimValue | null;
      /** Tested before each iteration. */
      readonly condition: DimValue | null;
      /** The dim that counts iterations from 0. */
      readonly index: string | null;
      /** Carried values are moved by `copy` at its end. */
      readonly body: readonly Instruction[];
    }
  | { readonly op: 'return'; readonly values: readonly number[] };

/** What the author of an artifact states; the writer adds the sections. */
export type ManifestBody = Omit<Manifest, 'sections'>;
