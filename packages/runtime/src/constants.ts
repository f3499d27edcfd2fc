import type { ArtifactFile, ConstantInfo, SectionInfo } from '@tenon/artifact';
import { alignment } from '@tenon/artifact';
import type { ByteSource, Device, DeviceBuffer, Host, View } from '@tenon/plugin';
import { TenonError } from '@tenon/plugin';
import { repack } from './repack.ts';
import { readInto } from './source.ts';
import type { Verification } from './verification.ts';

/** Chunks of memory at hand that are compared with their hashes at a time. */
const comparedChunks = 8;

/** Constants of an artifact in the memories of devices: read once per space, when a region that uses them is loaded. */
export interface ConstantStore {
  load(index: number, device: Device): Promise<void>;
  loaded(index: number, device: Device): boolean;
  /** Throws where it has not been loaded. */
  view(index: number, device: Device): View;
  /** Bytes held, by space. */
  bytes(): ReadonlyMap<string, number>;
  dispose(): void;
}

interface StoreOptions {
  readonly file: ArtifactFile;
  readonly host: Host | null;
  /** Allocates what stays in host memory. */
  readonly hostDevice: Device;
  /** null: contents are not compared with their hashes. */
  readonly verification: Verification | null;
}

export function createConstants({ file, host, hostDevice, verification }: StoreOptions): ConstantStore {
  const { constants } = file.manifest;
  const views = new Map<string, View>();
  const loading = new Map<string, Promise<void>>();
  const sections = new Map<string, Promise<DeviceBuffer>>();
  const sources = new Map<string, Promise<ByteSource>>();
  const buffers: { readonly device: Device; readonly buffer: DeviceBuffer }[] = [];
  let disposed = false;
  const key = (index: number, device: Device): string => `${index}@${device.space}`;

  const checkAlive = (): void => {
    if (disposed) throw new TenonError({ code: 'runtime/disposed', message: 'the model was disposed while it was loading' });
  };
  const keep = (device: Device, buffer: DeviceBuffer): DeviceBuffer => {
    checkAlive();
    buffers.push({ device, buffer });
    return buffer;
  };
  const allocate = (device: Device, bytes: number): DeviceBuffer => {
    checkAlive();
    return keep(device, device.allocate(bytes));
  };

  const once = <T>(map: Map<string, Promise<T>>, name: string, make: () => Promise<T>): Promise<T> => {
    let made = map.get(name);
    if (!made) {
      made = make();
      map.set(name, made);
      // A failed read may be tried again.
      made.catch(() => map.delete(name));
    }
    return made;
  };

  const mapSection = async (section: SectionInfo): Promise<DeviceBuffer | null> => {
    const { descriptor } = file.source;
    if (descriptor === undefined) return null;
    const buffer = await hostDevice.map?.(descriptor, file.offsetOf(section), file.paddedBytes(section)) ?? null;
    if (buffer !== null) keep(hostDevice, buffer);
    return buffer;
  };

  /** A section in host memory as a whole: its constants are views of it. */
  const hostSection = (name: string): Promise<DeviceBuffer> =>
    once(sections, name, async () => {
      const section = file.section(name);
      const mapped = await mapSection(section);
      const buffer = mapped ?? allocate(hostDevice, file.paddedBytes(section));
      const bytes = buffer.host!.subarray(0, file.paddedBytes(section));
      const compare = (begin: number, end: number): void => verification?.add(section, begin, bytes.subarray(begin, end));
      if (mapped === null) await readInto(file.source, file.offsetOf(section), bytes, file.chunkBytes, compare);
      else for (let at = 0; at < bytes.length; at += comparedChunks * file.chunkBytes) compare(at, Math.min(at + comparedChunks * file.chunkBytes, bytes.length));
      return buffer;
    });

  /** The bytes of one constant for memory that the host does not reach, compared before they go there. */
  const readChecked = async (constant: ConstantInfo, name: string, offset: number): Promise<Uint8Array> => {
    const section = file.section(name);
    if (!verification || constant.bytes === 0) return file.source.read(file.offsetOf(section) + offset, constant.bytes);
    const first = Math.floor(offset / file.chunkBytes);
    const last = Math.floor((offset + constant.bytes - 1) / file.chunkBytes);
    const begin = file.chunkRange(section, first)[0];
    const [lastBegin, lastBytes] = file.chunkRange(section, last);
    const bytes = new Uint8Array(lastBegin + lastBytes - begin);
    await readInto(file.source, file.offsetOf(section) + begin, bytes);
    for (let chunk = first; chunk <= last; chunk++) {
      const [at, length] = file.chunkRange(section, chunk);
      file.checkChunk(section, chunk, bytes.subarray(at - begin, at - begin + length));
    }
    return bytes.subarray(offset - begin, offset - begin + constant.bytes);
  };

  const repacked = async (constant: ConstantInfo, data: Extract<ConstantInfo['data'], { readonly kind: 'repacked' }>): Promise<Uint8Array> => {
    const source = constants[data.of]!;
    if (source.data.kind !== 'section') throw new TypeError('checked with the manifest');
    return repack(await readChecked(source, source.data.section, source.data.offset), data, constant.bytes / Math.max(1, constant.shape.reduce((a, b) => a * b, 1)));
  };

  const external = (uri: string, id: string | null): Promise<ByteSource> =>
    once(sources, uri, async () => {
      if (!host) throw new TenonError({ code: 'runtime/no-host', message: `constants are in '${uri}', outside the artifact, and there is no host to open it`, hint: 'give createRuntime a host, e.g. nodeHost()' });
      const source = await host.open(host.resolve(file.source.uri, uri));
      if (id === null || source.id === id) return source;
      source.close();
      throw new TenonError({ code: 'runtime/external-changed', message: `'${uri}' is not the file that the model was compiled with (its identity is ${source.id}, not ${id})`, hint: 'compile the model again' });
    });

  const loadOne = async (index: number, device: Device): Promise<void> => {
    const constant = constants[index]!;
    const { data } = constant;
    if (device.space === 'host' && data.kind === 'section') {
      views.set(key(index, device), { buffer: await hostSection(data.section), byteOffset: data.offset, bytes: constant.bytes });
      return;
    }
    if (data.kind === 'external' && device.space === 'host') {
      const buffer = allocate(hostDevice, Math.max(alignment, constant.bytes));
      await readInto(await external(data.uri, data.id), data.offset, buffer.host!.subarray(0, constant.bytes));
      views.set(key(index, device), { buffer, byteOffset: 0, bytes: constant.bytes });
      return;
    }
    if (data.kind === 'repacked' && device.space === 'host') {
      const packed = await repacked(constant, data);
      const buffer = allocate(hostDevice, Math.max(alignment, constant.bytes));
      buffer.host!.set(packed);
      views.set(key(index, device), { buffer, byteOffset: 0, bytes: constant.bytes });
      return;
    }
    const bytes = data.kind === 'section' ? await readChecked(constant, data.section, data.offset)
      : data.kind === 'repacked' ? await repacked(constant, data) : await (await external(data.uri, data.id)).read(data.offset, constant.bytes);
    const view: View = { buffer: allocate(device, Math.max(alignment, constant.bytes)), byteOffset: 0, bytes: constant.bytes };
    await device.createQueue().write(bytes, view).wait();
    views.set(key(index, device), view);
  };

  return {
    load: (index, device) => once(loading, key(index, device), () => loadOne(index, device)),
    loaded: (index, device) => views.has(key(index, device)),
    view(index, device) {
      const view = views.get(key(index, device));
      if (!view) throw new TenonError({ code: 'runtime/constant-not-loaded', message: `constant '${constants[index]?.name}' is not in the memory of ${device.name}` });
      return view;
    },
    bytes() {
      const total = new Map<string, number>();
      for (const { device, buffer } of buffers) total.set(device.space, (total.get(device.space) ?? 0) + buffer.bytes);
      return total;
    },
    dispose() {
      disposed = true;
      views.clear();
      for (const { device, buffer } of buffers) device.free(buffer);
      buffers.length = 0;
      for (const source of sources.values()) source.then((s) => s.close(), () => {});
    },
  };
}
