/** A vector unit of four lanes, run half. */
import { format, formatVersion, lanes, magic, opcodes } from './opcodes.js';

const done = { done: true, wait: () => Promise.resolve() };
const bytesOf = ({ buffer, byteOffset, bytes }) => buffer.host.subarray(byteOffset, byteOffset + bytes);
const queue = () => ({
  write(source, destination) {
    bytesOf(destination).set(source);
    return done;
  },
  read(source, destination) {
    destination.set(bytesOf(source));
    return done;
  },
  fence: () => done,
});

export default function wave() {
  return {
    name: 'wave', format, formatVersions: [formatVersion], native: false,
    device: { name: 'wave', space: 'host', allocate: (bytes) => ({ bytes, host: new Uint8Array(bytes) }), free() {}, createQueue: queue },
    userMemory: { minimum: 64, borrow: (memory) => ({ bytes: memory.length, host: memory }), allocate: (bytes) => new ArrayBuffer(bytes) },
    answer(blob) {
      if (blob.requires.lanes !== lanes) return { kind: 'unsupported', code: 'wave/lanes', reason: `the program is for ${blob.requires.lanes} lanes, this machine has ${lanes}` };
      if (blob.formatVersion !== formatVersion) return { kind: 'recompile', code: 'wave/version', reason: `version ${blob.formatVersion} is not ${formatVersion}` };
      return { kind: 'optimal' };
    },
    load(_blob, bytes) {
      const programs = decode(bytes);
      return {
        bind(symbol, views) {
          const program = programs.get(symbol);
          if (program === undefined) throw new Error(`no program ${symbol}`);
          return bind(program, views);
        },
        dispose() {},
      };
    },
  };
}

function decode(bytes) {
  const programs = new Map();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  while (at < bytes.length) {
    if (!magic.every((b, i) => bytes[at + i] === b)) throw new Error('not a wave program');
    if (view.getUint32(at + 4, true) !== formatVersion) throw new Error(`wave version ${view.getUint32(at + 4, true)}`);
    const [nameBytes, views, temporaryCount, stepCount] = [8, 12, 16, 20].map((o) => view.getUint32(at + o, true));
    const name = new TextDecoder().decode(bytes.subarray(at + 24, at + 24 + nameBytes));
    at += 24 + Math.ceil(nameBytes / 4) * 4;
    if (at + 4 * temporaryCount + 20 * stepCount + 4 > bytes.length) throw new Error('a wave program ends too early');
    const temporaries = [];
    for (let i = 0; i < temporaryCount; i++, at += 4) temporaries.push(view.getUint32(at, true));
    const steps = [];
    for (let i = 0; i < stepCount; i++, at += 20) {
      const [code, a, b, out] = [0, 4, 8, 12].map((o) => view.getUint32(at + o, true));
      if (code >= opcodes.length || [a, b, out].some((s) => s >= views + temporaryCount)) throw new Error('a wave program has a wrong step');
      steps.push({ code: opcodes[code], a, b, out, alpha: view.getFloat32(at + 16, true) });
    }
    if (view.getUint32(at, true) !== 0x454e4421) throw new Error('a wave program has no end');
    at += 4;
    programs.set(name, { views, temporaries, steps });
  }
  if (programs.size === 0) throw new Error('no wave program');
  return programs;
}

const floats = (bytes) => new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);

function bind({ views: count, temporaries, steps }, views) {
  const wanted = count + (temporaries.length > 0 ? 1 : 0);
  if (views.length !== wanted) throw new Error(`expected ${wanted} views, got ${views.length}`);
  const slots = views.slice(0, count).map((v) => floats(bytesOf(v)));
  let offset = 0;
  for (const like of temporaries) {
    const memory = floats(bytesOf(views[count]));
    slots.push(memory.subarray(offset, offset + slots[like].length));
    offset += slots[like].length;
  }
  let times = [];
  const runSync = () => {
    const began = performance.now();
    const now = () => (performance.now() - began) * 1e6;
    times = steps.map((step) => {
      const begin = now();
      run(step, slots);
      return { kernel: step.code, begin, end: now() };
    });
  };
  return {
    enqueue() {
      runSync();
      return done;
    },
    runSync,
    rebind(position, view) {
      slots[position] = floats(view === null ? new Uint8Array() : bytesOf(view));
    },
    runDims: [],
    get kernelTimes() { return times; },
    dispose() {},
  };
}

const sigmoid = (x) => 1 / (1 + Math.exp(-x));

/** Four lanes at a time. `b` may be one row for all rows of `a`. */
function run({ code, a, b, out, alpha }, slots) {
  const [x, z, y] = [slots[a], slots[b], slots[out]];
  for (let i = 0; i + lanes <= y.length; i += lanes) {
    for (let lane = i; lane < i + lanes; lane++) {
      const v = x[lane];
      switch (code) {
        case 'add': y[lane] = v + z[lane % z.length]; break;
        case 'sub': y[lane] = v - z[lane % z.length]; break;
        case 'mul': y[lane] = v * z[lane % z.length]; break;
        case 'neg': y[lane] = -v; break;
        case 'relu': y[lane] = v > 0 ? v : 0; break;
        case 'leaky': y[lane] = v < 0 ? v * alpha : v; break;
        case 'sigmoid': y[lane] = sigmoid(v); break;
        case 'silu': y[lane] = v * sigmoid(v); break;
      }
    }
  }
}
