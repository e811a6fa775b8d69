import { type MessagePort, SHARE_ENV, Worker } from 'node:worker_threads';
import { FiddlerError } from '../errors.js';
import type { Control } from './control.js';
import { type CallKind, type CallRequest, type Calls, fromMessage, type Request, type Response } from './protocol.js';

/** Bounds what short-lived objects take of RAM before they are collected; by default up to 48 MB. */
const YOUNG_MB = 12;

interface Pending {
  resolve(result: Calls[CallKind]['result']): void;
  reject(error: unknown): void;
  onItem(item: Calls[CallKind]['item']): void;
  cancel: SharedArrayBuffer;
}

interface CallOptions<K extends CallKind> {
  onItem?: (item: Calls[K]['item']) => void;
  signal?: AbortSignal;
  control?: Control;
  /** Ports in the input, which move to the thread. */
  transfer?: readonly MessagePort[];
}

/**
 * The engine thread, seen from the main thread. It generates texts at once and does other calls one at a time. Native
 * calls block it, so that a call is cancelled through shared memory and not by a message. An idle engine thread does not keep the
 * process alive.
 */
export class EngineThread {
  readonly #worker: Worker;
  readonly #exited: Promise<void>;
  /** By id. No Map: the tables that it outgrows would keep what went through them until a full garbage collection. */
  readonly #pending: Record<number, Pending> = Object.create(null);
  #calls = 0;
  #lastId = 0;
  /** Why no more calls are taken. */
  #ended: FiddlerError | undefined;
  /** What failed in closing. */
  #unclosed: FiddlerError | undefined;

  /** @param script the thread's own script, which calls `serve` */
  constructor(script: URL = new URL('./worker.js', import.meta.url)) {
    // Without SHARE_ENV a variable set here would not be seen there.
    this.#worker = new Worker(script, { env: SHARE_ENV, resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB } });
    this.#worker.on('message', (response: Response) => this.#receive(response));
    this.#worker.on('error', (error: Error) => this.#end(error));
    this.#exited = new Promise((resolve) => this.#worker.once('exit', () => resolve(this.#end())));
    this.#worker.unref();
  }

  /**
   * Has the thread do `kind`; `onItem` gets each item as it is made, and ends the call with what it throws; `signal` ends
   * it early.
   * @throws FiddlerError as the call does; `usage` after `close`; `device` when the thread died; what `onItem` throws
   */
  async call<K extends CallKind>(
    kind: K,
    input: Calls[K]['input'],
    { onItem = () => {}, signal, control, transfer }: CallOptions<K> = {},
  ): Promise<Calls[K]['result']> {
    if (this.#ended) throw this.#ended;
    const id = ++this.#lastId;
    const cancel = new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT);
    const end = () => {
      raise(cancel);
      this.#post({ kind: 'wake' }); // it may rest
    };
    const rest = (rests: boolean) => {
      Atomics.store(new Int32Array(cancel), 1, rests ? 1 : 0);
      if (!rests) this.#post({ kind: 'wake' });
    };
    control?.bind({ end, rest });
    if (signal?.aborted) raise(cancel);
    signal?.addEventListener('abort', end);
    try {
      return await new Promise<Calls[K]['result']>((resolve, reject) => {
        this.#pending[id] = { resolve, reject, onItem, cancel } as Pending;
        if (++this.#calls === 1) this.#worker.ref();
        this.#post({ kind, id, input, cancel } satisfies CallRequest<K> as Request, transfer);
      });
    } finally {
      signal?.removeEventListener('abort', end);
      delete this.#pending[id];
      if (--this.#calls === 0 && !this.#ended) this.#worker.unref();
    }
  }

  /**
   * Ends the calls that are running or waiting, frees what the thread holds, and waits until it is gone.
   * @throws FiddlerError what failed; all else was freed
   */
  async close(): Promise<void> {
    this.#ended ??= new FiddlerError('usage', 'the model is closed', 'load it again');
    for (const { cancel } of Object.values(this.#pending)) raise(cancel);
    this.#worker.ref();
    this.#post({ kind: 'close' });
    await this.#exited;
    if (this.#unclosed) throw this.#unclosed;
  }

  #post(request: Request, transfer?: readonly MessagePort[]): void {
    this.#worker.postMessage(request, transfer);
  }

  #receive(response: Response): void {
    if (response.kind === 'unclosed') {
      this.#unclosed = fromMessage(response.error);
      return;
    }
    const pending = this.#pending[response.id];
    if (response.kind === 'items') pass(response.items, pending);
    else if (response.kind === 'result') pending?.resolve(response.result);
    else pending?.reject(fromMessage(response.error));
  }

  #end(cause?: Error): void {
    const problem = `the engine thread died${cause ? `: ${cause.message}` : ''}`;
    this.#ended ??= new FiddlerError('device', problem, 'load the model again; if it recurs, report it with --debug', {
      cause,
    });
    for (const { reject } of Object.values(this.#pending)) reject(this.#ended);
  }
}

/** What a caller's own function throws is the caller's to see: the call ends with it. */
function pass(items: readonly Calls[CallKind]['item'][], pending: Pending | undefined): void {
  try {
    for (const item of items) pending?.onItem(item);
  } catch (error) {
    raise(pending!.cancel);
    pending!.reject(error);
  }
}

function raise(cancel: SharedArrayBuffer): void {
  Atomics.store(new Int32Array(cancel), 0, 1);
}
