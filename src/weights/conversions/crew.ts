import { deserialize, serialize } from 'node:v8';
import { Worker } from 'node:worker_threads';
import type { Pointer } from '../../native/ggml/api.js';
import { type Conversion, type Convert, convertHere, convertRows } from './index.js';

/** Bytes, times the work of a conversion, below which it is not worth waking other threads. */
const SMALLEST = 4 << 20;

/** Parts in which so few bytes are made, so that nobody waits long for the last of them. */
const CHUNKS = 4;

/** Indices of the shared Int32 state. */
const [EPOCH, OPEN, INSIDE, NEXT, FAILED, HELPERS, JOB_BYTES] = [0, 1, 2, 3, 4, 5, 6] as const;

/** What the caller and its helpers share. */
export interface CrewMemory {
  state: SharedArrayBuffer;
  /** The job that is open, serialized. */
  job: SharedArrayBuffer;
}

interface Job {
  conversion: Conversion;
  target: Pointer;
  /** Rows of a chunk. */
  rows: number;
}

/**
 * Converts on the calling thread and on up to `threads() - 1` helpers, which start with the first conversion that is
 * large enough and end by themselves when none follows for a while. Helpers only help: without any the caller does all.
 */
export function convertTogether(threads: () => number, smallest = SMALLEST): Convert {
  const memory: CrewMemory = { state: new SharedArrayBuffer(7 * 4), job: new SharedArrayBuffer(1 << 12) };
  const state = new Int32Array(memory.state);
  return (conversion, target) => {
    const { rows, rowBytes, band, work = 1 } = conversion;
    if (rows * rowBytes * work < smallest) return convertHere(conversion, target);
    startHelpers(memory, threads() - 1);
    const bands = Math.max(1, Math.floor(smallest / CHUNKS / (rowBytes * band * work)));
    const job: Job = { conversion, target, rows: bands * band };
    open(memory, job);
    try {
      takeChunks(state, job);
    } finally {
      close(state);
    }
    if (Atomics.exchange(state, FAILED, 0)) convertHere(conversion, target); // and say what is wrong
  };
}

function startHelpers(memory: CrewMemory, wanted: number): void {
  const state = new Int32Array(memory.state);
  for (let running = Atomics.load(state, HELPERS); running < wanted; running++) {
    Atomics.add(state, HELPERS, 1);
    const helper = new Worker(new URL('./crew-worker.js', import.meta.url), { workerData: memory });
    helper.on('error', () => Atomics.sub(state, HELPERS, 1));
    helper.unref();
  }
}

/** Lets helpers in. Nobody is inside: the caller saw the last one leave. */
function open({ state: shared, job: place }: CrewMemory, job: Job): void {
  const state = new Int32Array(shared);
  const bytes = serialize(job);
  new Uint8Array(place).set(bytes);
  Atomics.store(state, JOB_BYTES, bytes.length);
  Atomics.store(state, NEXT, 0);
  Atomics.store(state, OPEN, 1);
  Atomics.add(state, EPOCH, 1);
  Atomics.notify(state, EPOCH);
}

/** Lets nobody in any more, and waits until all have left: what they took is made. */
function close(state: Int32Array): void {
  Atomics.store(state, OPEN, 0);
  for (let inside = Atomics.load(state, INSIDE); inside > 0; inside = Atomics.load(state, INSIDE)) {
    Atomics.wait(state, INSIDE, inside);
  }
}

/** Makes chunks until all are taken. */
function takeChunks(state: Int32Array, { conversion, target, rows }: Job): void {
  for (;;) {
    const begin = Atomics.add(state, NEXT, 1) * rows;
    if (begin >= conversion.rows) return;
    convertRows(conversion, target, begin, Math.min(conversion.rows, begin + rows));
  }
}

/** A helper's life: takes part in every job until none comes for `patience` milliseconds. */
export function help({ state: shared, job: place }: CrewMemory, patience: number): void {
  const state = new Int32Array(shared);
  let seen = 0;
  do {
    seen = Atomics.load(state, EPOCH);
    Atomics.add(state, INSIDE, 1); // from here on no job is closed
    try {
      if (Atomics.load(state, OPEN)) {
        const bytes = Buffer.from(new Uint8Array(place).slice(0, Atomics.load(state, JOB_BYTES)));
        takeChunks(state, deserialize(bytes) as Job);
      }
    } catch {
      Atomics.store(state, FAILED, 1);
    }
    Atomics.sub(state, INSIDE, 1);
    Atomics.notify(state, INSIDE);
  } while (Atomics.wait(state, EPOCH, seen, patience) !== 'timed-out');
  Atomics.sub(state, HELPERS, 1);
}
