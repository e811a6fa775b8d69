import { Worker } from 'node:worker_threads';
import { GRAMMARS_KEPT, SharedMask } from './shared.js';
import type { GrammarAnswer, GrammarModel, GrammarRequest } from './worker.js';

/** Milliseconds in which a grammar must be compiled: any, and the first of a thread, which reads the vocabulary. */
export interface Deadlines {
  one: number;
  first: number;
}

/**
 * A thread that compiles grammars, one at a time, and makes masks of them. It ends with a grammar that takes too long or
 * breaks the engine; as none is compiled where an answer runs, no answer ends with it.
 */
export class GrammarThread {
  readonly #worker: Worker;
  readonly #deadlines: Deadlines;
  readonly #onChange: () => void;
  /** Of answers that may still run. */
  readonly #masks = new Map<SharedArrayBuffer, SharedMask>();
  /** What was compiled here and is taken to be kept, the most recently used last. */
  readonly #known = new Set<string>();
  #current: { held: string; done: (answer: GrammarAnswer) => void; timer: NodeJS.Timeout } | undefined;
  #started = false;
  #ended = false;

  /** @param onChange it may take another grammar, or has ended */
  constructor(model: GrammarModel, script: URL, deadlines: Deadlines, onChange: () => void) {
    this.#deadlines = deadlines;
    this.#onChange = onChange;
    // What the grammar engine prints about strangers' grammars is no matter of this process's output.
    this.#worker = new Worker(script, { workerData: model, stdout: true, stderr: true });
    this.#worker.stdout.resume();
    this.#worker.stderr.resume();
    this.#worker.unref();
    this.#worker.on('message', (answer: GrammarAnswer) => {
      this.#started = true;
      if (answer.isBroken) this.end(answer.problem!);
      else this.#answer(answer);
    });
    this.#worker.on('error', (error: Error) => this.end(error.message));
  }

  get isEnded(): boolean {
    return this.#ended;
  }

  /** No answer needs it. */
  get isFree(): boolean {
    return !this.#current && this.#masks.size === 0;
  }

  /** It compiles this just now. */
  compiles(held: string): boolean {
    return this.#current?.held === held;
  }

  /** It has compiled this, and would not be kept from its masks by another. */
  has(held: string): boolean {
    return !this.#current && this.#known.has(held);
  }

  /** Makes masks from now on, once `held` is compiled. */
  ask(request: GrammarRequest): Promise<GrammarAnswer> {
    const { held, memory } = request;
    this.#masks.set(memory, new SharedMask(memory));
    return new Promise((done) => {
      const milliseconds = this.#started ? this.#deadlines.one : this.#deadlines.first;
      const timer = setTimeout(() => this.end(`it takes longer than ${milliseconds / 1000} s`), milliseconds);
      this.#current = {
        ...{ held, timer },
        done: (answer) => {
          if (answer.problem !== undefined) this.#masks.delete(memory);
          done(answer);
        },
      };
      this.#worker.postMessage(request, [request.port]);
    });
  }

  /** An answer has ended, if it is one of this thread's. */
  release(memory: SharedArrayBuffer): void {
    if (this.#masks.delete(memory)) this.#onChange();
  }

  /** Ends what it was asked, and answers that it made masks for. */
  end(problem: string): void {
    if (this.#ended) return;
    this.#ended = true;
    void this.#worker.terminate();
    for (const mask of this.#masks.values()) mask.abandon();
    this.#masks.clear();
    this.#answer({ problem });
    this.#onChange();
  }

  #answer(answer: GrammarAnswer): void {
    if (!this.#current) return;
    const { held, done, timer } = this.#current;
    clearTimeout(timer);
    this.#current = undefined;
    this.#known.delete(held);
    if (answer.problem === undefined) this.#known.add(held);
    if (this.#known.size > GRAMMARS_KEPT) this.#known.delete(this.#known.values().next().value!);
    done(answer);
    this.#onChange();
  }
}
