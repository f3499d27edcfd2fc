/** Writes a region as bytecode. All numbers are 32 bits, little-endian. */
import { formatVersion, magic, opcodes } from './opcodes.js';

const codeOf = { 'math.add': 'add', 'math.sub': 'sub', 'math.mul': 'mul', 'math.neg': 'neg', 'nn.relu': 'relu', 'nn.leaky_relu': 'leaky', 'math.sigmoid': 'sigmoid' };

/** A program: header, name, counts, then steps of (opcode, a, b, out, alpha). */
export function writeProgram(region, ctx) {
  const { graph } = region;
  const slots = new Map();
  for (const p of graph.params) slots.set(p, slots.size);
  for (const r of graph.results) slots.set(r, slots.size);
  for (const name of region.constants.keys()) slots.set(name, slots.size);
  const views = slots.size;
  const at = (v) => slots.get(v.constant ? v.name : v);
  const fused = fusedSteps(region);
  const temporaries = [];
  const steps = [];
  const kernels = [];
  let workspace = ctx.exprs.int(0);
  for (const binding of graph.bindings) {
    const y = binding.results[0];
    if (fused.hidden.has(binding)) continue;
    const silu = fused.silu.get(binding);
    const args = silu === undefined ? binding.args : [silu, silu];
    const inputs = args.map(at);
    let out = slots.get(y);
    if (out === undefined) {
      out = views + temporaries.length;
      slots.set(y, out);
      // As large as its first argument, which has the shape of the result.
      temporaries.push(inputs[0]);
      workspace = ctx.exprs.add(workspace, ctx.bytesOf(y.type));
    }
    const code = silu === undefined ? codeOf[binding.callee] : 'silu';
    const alpha = binding.callee === 'nn.leaky_relu' ? Number(binding.attrs.alpha ?? 0.01) : 0;
    steps.push({ code, a: inputs[0], b: inputs[1] ?? inputs[0], out, alpha });
    const elements = ctx.exprs.product(y.type.shape);
    kernels.push({ name: code, ops: silu === undefined ? [binding.callee] : ['math.sigmoid', 'math.mul'], locs: binding.loc === null ? [] : [binding.loc], flops: elements, bytes: ctx.exprs.mul(elements, 12) });
  }
  return {
    bytes: encode(region.name, views, temporaries, steps),
    entry: {
      region: region.name, symbol: region.name, constants: [...region.constants.keys()], dims: region.dims, runDims: [],
      workspace: temporaries.length === 0 ? null : workspace, kernels,
    },
    listing: `${region.name}\n${steps.map((s) => `  %${s.out} = ${s.code} %${s.a} %${s.b}`).join('\n')}`,
  };
}

/** Products with their own sigmoid are one step, if nobody else wants the sigmoid. */
function fusedSteps(region) {
  const silu = new Map();
  const hidden = new Set();
  for (const { rule, results } of region.matches) {
    if (rule !== 'wave/silu') continue;
    const bindings = results.map((name) => region.graph.bindings.find((b) => b.results[0].name === name));
    const product = bindings.find((b) => b.callee === 'math.mul');
    const sigmoid = bindings.find((b) => b.callee === 'math.sigmoid');
    silu.set(product, sigmoid.args[0]);
    const used = region.graph.bindings.some((b) => b !== product && b.args.includes(sigmoid.results[0])) || region.graph.results.includes(sigmoid.results[0]);
    if (!used) hidden.add(sigmoid);
  }
  return { silu, hidden };
}

function encode(name, views, temporaries, steps) {
  const text = new TextEncoder().encode(name);
  const padded = Math.ceil(text.length / 4) * 4;
  const bytes = new Uint8Array(24 + padded + 4 * temporaries.length + 20 * steps.length + 4);
  const view = new DataView(bytes.buffer);
  bytes.set(magic, 0);
  view.setUint32(4, formatVersion, true);
  view.setUint32(8, text.length, true);
  view.setUint32(12, views, true);
  view.setUint32(16, temporaries.length, true);
  view.setUint32(20, steps.length, true);
  bytes.set(text, 24);
  let at = 24 + padded;
  for (const like of temporaries) {
    view.setUint32(at, like, true);
    at += 4;
  }
  for (const { code, a, b, out, alpha } of steps) {
    [opcodes.indexOf(code), a, b, out].forEach((word, i) => view.setUint32(at + 4 * i, word, true));
    view.setFloat32(at + 16, alpha, true);
    at += 20;
  }
  view.setUint32(at, 0x454e4421, true); // END!
  return bytes;
}
