/** A trace as Perfetto reads it: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU */
export interface Trace {
  readonly traceEvents: readonly TraceEvent[];
}
interface TraceEvent {
  readonly name: string;
  readonly cat: string;
  readonly ph: string;
  readonly ts: number;
  readonly dur?: number;
  readonly pid: number;
  readonly tid: number;
  readonly args: { readonly [name: string]: unknown };
}

/** What keeps a trace from being read or drawn, or null: fields, names of tracks, and events of a track that cut through one another. */
export function traceProblem(trace: unknown): string | null {
  const { traceEvents } = trace as Partial<Trace>;
  if (!Array.isArray(traceEvents)) return 'there are no traceEvents';
  const tracks = new Map<string, TraceEvent[]>();
  const named = new Set<string>();
  for (const e of traceEvents as TraceEvent[]) {
    const track = `${e.pid}/${e.tid}`;
    if (typeof e.name !== 'string' || typeof e.cat !== 'string' || !Number.isInteger(e.pid) || !Number.isInteger(e.tid)) return `an event lacks a field: ${JSON.stringify(e)}`;
    if (e.ph === 'M') {
      if (e.name === 'thread_name') named.add(track);
      if (typeof e.args['name'] !== 'string') return `metadata without a name: ${JSON.stringify(e)}`;
      continue;
    }
    if (e.ph !== 'X') return `${e.name} is no complete event: ${e.ph}`;
    if (!(Number.isFinite(e.ts) && e.ts >= 0 && Number.isFinite(e.dur) && e.dur! >= 0)) return `${e.name} has no time: ${JSON.stringify(e)}`;
    tracks.set(track, [...(tracks.get(track) ?? []), e]);
  }
  for (const [track, events] of tracks) {
    if (!named.has(track)) return `track ${track} has no name`;
    const open: TraceEvent[] = [];
    // A thousandth of a microsecond is what times are rounded to.
    const end = (e: TraceEvent): number => e.ts + e.dur!;
    for (const e of events.toSorted((a, b) => a.ts - b.ts || b.dur! - a.dur!)) {
      while (open.length > 0 && end(open.at(-1)!) <= e.ts + 1e-3) open.pop();
      if (open.length > 0 && end(e) > end(open.at(-1)!) + 1e-3) return `${e.name} begins in ${open.at(-1)!.name} and ends after it`;
      open.push(e);
    }
  }
  return null;
}
