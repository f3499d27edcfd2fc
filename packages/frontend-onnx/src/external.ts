import type { ByteSource, Context } from '@tenon/plugin';
import { TenonError, diagnosticOf } from '@tenon/plugin';
import type { OnnxTensor } from './model.ts';
import { tensorError, type TensorLayout } from './proto/tensor.ts';
import { sha1 } from './sha1.ts';

/** The part of an external file that holds a tensor. */
export interface ExternalRange {
  readonly location: string;
  readonly source: ByteSource;
  readonly offset: number;
  readonly bytes: number;
}

/** External data files of one model: each is opened, and its checksum compared, once. */
export interface ExternalFiles {
  range(tensor: OnnxTensor, layout: TensorLayout): Promise<ExternalRange>;
  /** Closes those files that `which` selects. */
  close(which: (source: ByteSource) => boolean): void;
}

/** Why a location does not name a file below the model's folder; null where it does. Locations are taken literally. */
export function locationProblem(location: string): string | null {
  if (location === '') return 'it is empty';
  if (location.includes('\0')) return 'it contains a NUL character';
  if (location.includes('\\')) return 'it contains a backslash';
  if (location.startsWith('/')) return 'it is an absolute path';
  if (/^[a-z][a-z0-9+.-]*:/i.test(location)) return 'it is a URL or names a drive';
  if (location.split('/').includes('..')) return 'it leaves the folder of the model';
  return null;
}

export function externalFiles(base: string, ctx: Context): ExternalFiles {
  const open = new Map<string, Promise<ByteSource>>();
  const checked = new Map<string, Promise<string>>();
  const opened: ByteSource[] = [];

  function resolve(tensor: OnnxTensor, location: string): string {
    const hint = 'external data must lie in the folder of the model or below';
    const problem = locationProblem(location);
    if (problem)
      throw new TenonError({ code: 'onnx/external-path', message: `tensor ${JSON.stringify(tensor.name)} wants its data from ${JSON.stringify(location)}: ${problem}`, hint });
    try {
      return ctx.host.resolve(base, location);
    } catch (error) {
      throw outward('onnx/external-path', tensor, location, error, hint);
    }
  }

  async function openFile(tensor: OnnxTensor, location: string, uri: string): Promise<ByteSource> {
    try {
      const source = await ctx.host.open(uri);
      opened.push(source);
      return source;
    } catch (error) {
      throw outward('onnx/external-file', tensor, location, error, 'external data files belong beside the model: copy them together with it');
    }
  }

  return {
    async range(tensor, layout) {
      const entries = new Map(tensor.externalData.map((e) => [e.key, e.value]));
      const location = entries.get('location');
      if (location === undefined) throw tensorError(tensor, 'its data are external, but no location is given');
      const uri = resolve(tensor, location);
      let file = open.get(uri);
      if (!file) {
        file = openFile(tensor, location, uri);
        open.set(uri, file);
      }
      const source = await file;
      const offset = integer(tensor, 'offset', entries.get('offset') ?? '0');
      const length = entries.get('length');
      const bytes = length === undefined ? layout.bytes : integer(tensor, 'length', length);
      if (bytes !== layout.bytes)
        throw externalError(tensor, location, `its external data have ${bytes} bytes, but ${layout.dtype}[${layout.shape.join(', ')}] takes ${layout.bytes}`);
      if (offset > source.bytes || bytes > source.bytes - offset)
        throw externalError(tensor, location, `it takes ${bytes} bytes at offset ${offset} of ${location}, which has ${source.bytes}`);
      const checksum = entries.get('checksum');
      if (checksum) {
        let actual = checked.get(uri);
        if (!actual) {
          actual = sha1(source);
          checked.set(uri, actual);
        }
        if ((await actual) !== checksum.toLowerCase())
          throw new TenonError({
            code: 'onnx/external-checksum',
            message: `${location} has the SHA-1 ${await actual}, but the model states ${checksum}`,
            hint: 'the file is damaged or belongs to another version of the model',
          });
      }
      return { location, source, offset, bytes };
    },
    close(which) {
      for (const source of opened) if (which(source)) source.close();
    },
  };
}

function externalError(tensor: OnnxTensor, location: string, message: string): TenonError {
  return new TenonError({
    code: 'onnx/external-length',
    message: `tensor ${JSON.stringify(tensor.name)}: ${message}`,
    hint: `${location} may be truncated or belong to another version of the model`,
  });
}

function outward(code: string, tensor: OnnxTensor, location: string, cause: unknown, hint: string): TenonError {
  const inner = diagnosticOf(cause);
  if (!inner) throw cause;
  return new TenonError(
    { code, message: `tensor ${JSON.stringify(tensor.name)} wants its data from ${JSON.stringify(location)}: ${inner.message}`, hint, related: [inner] },
    { cause },
  );
}

function integer(tensor: OnnxTensor, key: string, text: string): number {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : NaN;
  if (!Number.isSafeInteger(value)) throw tensorError(tensor, `the ${key} of its external data is ${JSON.stringify(text.slice(0, 40))}, not a number of bytes`);
  return value;
}
