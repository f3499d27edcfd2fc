/**
 * The web platform's globals that portable packages use: present in pages, workers and Node alike. Named one by one,
 * because the DOM's types would also admit what workers and Node lack, and Node's types what browsers lack. Published
 * declarations refer to them by name only, and mean the user's own.
 */

interface AbortSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  throwIfAborted(): void;
  addEventListener(type: 'abort', listener: () => void, options?: { readonly once?: boolean }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

declare class AbortController {
  readonly signal: AbortSignal;
  abort(reason?: unknown): void;
}

declare function queueMicrotask(callback: () => void): void;

declare class TextEncoder {
  encode(text?: string): Uint8Array<ArrayBuffer>;
}

declare class TextDecoder {
  constructor(label?: string, options?: { readonly fatal?: boolean; readonly ignoreBOM?: boolean });
  decode(bytes?: ArrayBufferView | ArrayBuffer): string;
}

declare class URL {
  constructor(url: string | URL, base?: string | URL);
  href: string;
  readonly origin: string;
  protocol: string;
  host: string;
  pathname: string;
  search: string;
  hash: string;
  static canParse(url: string, base?: string | URL): boolean;
  static parse(url: string, base?: string | URL): URL | null;
}

interface Headers {
  get(name: string): string | null;
}

interface Response {
  readonly ok: boolean;
  readonly status: number;
  readonly statusText: string;
  readonly url: string;
  readonly headers: Headers;
  readonly body: { cancel(reason?: unknown): Promise<void> } | null;
  arrayBuffer(): Promise<ArrayBuffer>;
}

interface RequestInit {
  readonly headers?: { readonly [name: string]: string };
  readonly signal?: AbortSignal | null;
}

declare function fetch(url: string | URL, init?: RequestInit): Promise<Response>;
declare function setTimeout(callback: (value?: never) => void, milliseconds?: number): unknown;

declare const performance: { now(): number };
declare const console: { warn(text: string): void };
