/** What a frontend makes of a model, as text: so that a vendor's tests read like `text in, text out`. */
import { TenonError, type ByteSource, type ImportOptions, type Plugin } from '@tenon/plugin';
import { printModule, Session, verifyModule } from '@tenon/core';
import { standardOps } from '@tenon/ops';
import { bareHost } from './workbench.ts';

/**
 * Imports a model with the plugin's frontend that recognises it, verifies the module, and prints it.
 *
 * Throws what the frontend throws; `kit/not-detected` where no frontend takes the bytes for a model of its format; the
 * first problem that the verifier finds.
 */
export async function importText(plugin: Plugin, bytes: Uint8Array, options: Partial<ImportOptions> = {}, file = 'model'): Promise<string> {
  const session = new Session({ config: { plugins: [standardOps(), plugin] }, host: bareHost });
  const frontend = plugin.frontends?.find((f) => f.detect(bytes.slice(0, 4096)));
  if (frontend === undefined) throw new TenonError({ code: 'kit/not-detected', message: `no frontend of ${plugin.name} takes these ${bytes.length} bytes for a model`, hint: 'Look at `detect`.' });
  const module = await frontend.import(memorySource(bytes, file), session, { dims: {}, ...options });
  const [problem] = verifyModule(module, session);
  if (problem !== undefined) throw new TenonError(problem);
  return printModule(module);
}

/** A model in memory. `synchronous: false`: as a file behind a URL, which cannot answer at once. */
export function memorySource(bytes: Uint8Array, file: string, { synchronous = true } = {}): ByteSource {
  const slice = (offset: number, length: number): Uint8Array => {
    if (!(offset >= 0 && length >= 0 && offset + length <= bytes.length)) throw new TenonError({ code: 'host/read-past-end', message: `${file} ends at byte ${bytes.length}; ${length} bytes are wanted from ${offset}` });
    return bytes.slice(offset, offset + length);
  };
  return {
    uri: file, bytes: bytes.length, id: `${file} ${bytes.length}`, close: () => undefined,
    ...(synchronous ? { readSync: slice } : {}),
    read: (offset, length) => new Promise<void>((resolve) => void setImmediate(resolve)).then(() => slice(offset, length)),
  };
}
