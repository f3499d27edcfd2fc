import { outputAgreement } from '../support/compare.ts';
import { compileFile, host, loadArtifact } from '../support/engines.ts';
import type { Inputs } from '../models/models.ts';
import { Peer } from '../models/peer.ts';
import { randomInputs } from './inputs.ts';
import type { Limits } from './limits.ts';
import { row, type Row } from './report.ts';
import { interleaved } from './turns.ts';

/** One model with Tenon and onnxruntime in turn, a row for each number of threads. `inputs`: random ones where null. */
export async function compare(name: string, file: string, inputs: Inputs | null, limits: readonly Limits[], rounds: number): Promise<Row[]> {
  const compilation = await compileFile(await host.open(file));
  const artifact = await compilation.toBytes();
  const weights = compilation.manifest.constants.reduce((sum, c) => sum + c.bytes, 0);
  compilation.dispose();
  const rows: Row[] = [];
  for (const limit of limits) {
    const tenon = await loadArtifact(artifact, limit.threads);
    const given = inputs ?? randomInputs(tenon.model.inputs);
    const peer = await Peer.load(file, limit.threads);
    const feeds = peer.feeds(given);
    const ordered = tenon.inputs.map((input) => given[input]!);
    const want = await peer.run(feeds);
    const got = await tenon.run(ordered);
    const maxError = Math.max(...tenon.outputs.map((output, i) => outputAgreement(got[i]!, want[output]!).error));
    const times = await interleaved(() => tenon.run(ordered), () => peer.run(feeds), rounds);
    const { profile } = await tenon.model.run(given, { profile: true });
    const flops = profile.kernels.reduce((sum, k) => sum + (k.flops ?? 0), 0);
    rows.push(row(name, limit, times, { flops, bytes: weights }, maxError));
    tenon.dispose();
    await peer.release();
  }
  return rows;
}
