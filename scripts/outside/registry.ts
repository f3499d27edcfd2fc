import { mkdir, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import type { Server } from 'node:http';
import { join } from 'node:path';
import { runServer } from 'verdaccio';

/** An npm registry on loopback that takes packages from anybody and gets others from where npm gets them. */
export interface LocalRegistry {
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Starts Verdaccio. What is published stays in `folder`.
 *
 * @param own patterns of names that are published here, and never looked for elsewhere
 * @param upstream the registry that has all others
 */
export async function startRegistry(folder: string, own: readonly string[], upstream: string): Promise<LocalRegistry> {
  const storage = join(folder, 'storage');
  await mkdir(storage, { recursive: true });
  const config = join(folder, 'verdaccio.yaml');
  const local = own.map((pattern) => `  '${pattern}':\n    access: $all\n    publish: $all\n`).join('');
  await writeFile(config, [
    `storage: ${JSON.stringify(storage)}`, 'web:', '  enable: false', 'uplinks:', '  npm:', `    url: ${JSON.stringify(upstream)}`, '    maxage: 60m', '    timeout: 60s',
    'packages:', `${local}  '**':`, '    access: $all', '    proxy: npm', 'max_body_size: 50mb', 'log:', '  type: stdout', '  level: fatal', '  format: pretty', '',
  ].join('\n'));
  const server = (await runServer(config)) as Server;
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/`,
    close: () => new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    }),
  };
}
