import { expect, test } from 'vitest';
import { buildArtifact, compile, diagnosticOf } from '../src/browser.ts';
import { doubledRelu } from './onnx.ts';

test('without a target there is nothing to compile for, and files cannot be written', async () => {
  expect(await compile(doubledRelu()).catch(diagnosticOf)).toMatchObject({ code: 'target/none' });
  expect(await buildArtifact(doubledRelu(), { output: 'x.tenon' }).catch(diagnosticOf)).toMatchObject({ code: 'tenon/no-files' });
});
