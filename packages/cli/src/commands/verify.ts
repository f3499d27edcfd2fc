import { diagnosticOf } from 'tenon';
import { nodeHost, openArtifact } from 'tenon/tools';
import type { Command } from '../command.ts';
import { exitCodes } from '../exit-codes.ts';
import { formatBytes } from '../terminal/numbers.ts';

/** What says that an artifact is not what was written. */
const damaged = /^artifact\/(corrupt|truncated|invalid-header|invalid-manifest)$/;

export const verify: Command = {
  name: 'verify',
  summary: 'compares every byte of an artifact with the SHA-256 digests it was written with; exit code 1 if one differs',
  positionals: ['ARTIFACT'],
  options: {
    digest: { value: 'HEX', doc: 'the SHA-256 identity that it must have, as `tenon compile --json` printed it' },
  },
  details: 'Digests detect damage. They prove where an artifact comes from only if --digest is given from a source that you trust.',
  async run(args, ctx) {
    const path = args.positionals[0]!;
    const source = await nodeHost({ cacheFolder: null }).open(path);
    try {
      const file = await openArtifact(source);
      await file.verify({ signal: ctx.signal, onProgress: (done, total) => ctx.progress('verify', Math.floor(done / 2 ** 20), Math.ceil(total / 2 ** 20)) });
      const wanted = args.value('digest')?.toLowerCase();
      if (wanted !== undefined && wanted !== file.digest) {
        return {
          exitCode: exitCodes.notRight, json: { ok: false, code: 'verify/other-digest', digest: file.digest, expected: wanted },
          text: ({ paint }) => `${paint('red', 'another artifact')}: ${path} has the digest ${file.digest}`,
        };
      }
      return {
        json: { ok: true, digest: file.digest, bytes: file.bytes, sections: file.manifest.sections.length },
        text: ({ paint }) => `${paint('green', 'intact')}  ${formatBytes(file.bytes)}, SHA-256 ${file.digest}`,
      };
    } catch (error) {
      const problem = diagnosticOf(error);
      if (problem === null || !damaged.test(problem.code)) throw error;
      return {
        exitCode: exitCodes.notRight, json: { ok: false, code: problem.code, message: problem.message, hint: problem.hint },
        text: ({ paint }) => `${paint('red', `damaged [${problem.code}]`)}: ${problem.message}${problem.hint === null ? '' : `\n  ${paint('dim', 'hint:')} ${problem.hint}`}`,
      };
    } finally {
      source.close();
    }
  },
};
