import { type MessagePort, SHARE_ENV, Worker } from 'node:worker_threads';
import { FiddlerError } from '../errors.js';
import type { Control } from './control.js';
import { CallFlags, type Flag } from './flags.js';
import { type CallKind, type CallRequest, type Calls, fromMessage, type Request, type Response } from './protocol.js';

/** Bounds what short-lived objects take of RAM before they are collected; by default up to 48 MB. */
const YOUNG_MB = 12;

interface Pending {
  resolve(result: Calls[CallKind]['result']): void;
  reject(error: unknown): void;
  onItem(item: Calls[CallKind]['item']): void;
  /** Place of its flags. */
  flags: number;
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
  /**
   * What the thread does, by id. No Map: the tables that it outgrows would keep what went through them until a full garbage
   * collection.
   */
  readonly #pending: Record<number, Pending> = Object.create(null);
  readonly #flags = new CallFlags((memory) => this.#post({ kind: 'flags', memory }));
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
    const flags = this.#flags.take();
    const result = new Promise<Calls[K]['result']>((resolve, reject) => {
      this.#pending[id] = { resolve, reject, onItem, flags } as Pending;
    });
    const end = () => this.#tell(id, 'ends', true);
    control?.bind({ end, rest: (rests) => this.#tell(id, 'rests', rests) });
    if (signal?.aborted) end();
    signal?.addEventListener('abort', end);
    if (++this.#calls === 1) this.#worker.ref();
    try {
      this.#post({ kind, id, input, flags } satisfies CallRequest<K> as Request, transfer);
    } catch (error) {
      this.#settled(id)?.reject(error); // it cannot be sent
    }
    try {
      return await result;
    } finally {
      signal?.removeEventListener('abort', end);
      if (--this.#calls === 0 && !this.#ended) this.#worker.unref();
    }
  }

  /**
   * Ends the calls that are running or waiting, frees what the thread holds, and waits until it is gone.
   * @throws FiddlerError what failed; all else was freed
   */
  async close(): Promise<void> {
    this.#ended ??= new FiddlerError('usage', 'the model is closed', 'load it again');
    for (const { flags } of Object.values(this.#pending)) this.#flags.set(flags, 'ends', true);
    this.#worker.ref();
    this.#post({ kind: 'close' });
    await this.#exited;
    if (this.#unclosed) throw this.#unclosed;
  }

  #post(request: Request, transfer?: readonly MessagePort[]): void {
    this.#worker.postMessage(request, transfer);
  }

  /** Tells the thread of a call that it may still be doing. */
  #tell(id: number, flag: Flag, up: boolean): void {
    const pending = this.#pending[id];
    if (!pending) return;
    this.#flags.set(pending.flags, flag, up);
    if (flag === 'ends' || !up) this.#post({ kind: 'wake' }); // it may rest
  }

  #receive(response: Response): void {
    if (response.kind === 'unclosed') {
      this.#unclosed = fromMessage(response.error);
      return;
    }
    for (const news of response.news) {
      if ('item' in news) this.#pass(news.id, news.item);
      else if ('result' in news) this.#settled(news.id)?.resolve(news.result);
      else this.#settled(news.id)?.reject(fromMessage(news.error));
    }
  }

  /** What a caller's own function throws is the caller's to see: the call ends with it. */
  #pass(id: number, item: Calls[CallKind]['item']): void {
    const pending = this.#pending[id];
    try {
      pending?.onItem(item);
    } catch (error) {
      pending!.onItem = () => {};
      pending!.reject(error);
      this.#tell(id, 'ends', true);
    }
  }

  /** A call that the thread does not look at any more. */
  #settled(id: number): Pending | undefined {
    const pending = this.#pending[id];
    if (!pending) return undefined;
    delete this.#pending[id];
    this.#flags.release(pending.flags);
    return pending;
  }

  #end(cause?: Error): void {
    const problem = `the engine thread died${cause ? `: ${cause.message}` : ''}`;
    this.#ended ??= new FiddlerError('device', problem, 'load the model again; if it recurs, report it with --debug', {
      cause,
    });
    for (const { reject } of Object.values(this.#pending)) reject(this.#ended);
  }
}
