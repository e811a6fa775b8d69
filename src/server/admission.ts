import { type Link, Linked } from '../linked.js';
import { HttpError } from './errors.js';

/** Seconds that a generation is taken to last before one was seen. */
const FIRST_GUESS = 5;
/** Weight of the newest generation in the mean of how long they last. */
const NEWEST = 0.2;

/** A place among the generations that run, or that wait for it. */
export interface Place {
  /** Resolves once it may run; rejects where the server ends before, or the place was left. */
  readonly ready: Promise<void>;
  /** Gives the place back, whether or not it was ready. */
  leave(): void;
}

interface Waiting {
  start(): void;
  refuse(error: HttpError): void;
}

/** Bounds how many generations run and how many wait for that; first come, first served. */
export class Admission {
  #running = 0;
  readonly #waiting = new Linked<Waiting>();
  #mean = FIRST_GUESS;

  /**
   * @param parallel generations that run at the same time
   * @param queue generations that wait
   */
  constructor(
    readonly parallel: number,
    readonly queue: number,
    private readonly now: () => number = () => performance.now(),
  ) {}

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Places for a request of `count` generations. @throws HttpError 429: so many do not fit */
  enter(count: number): Place[] {
    const free = this.parallel - this.#running + this.queue - this.#waiting.size;
    if (count > this.parallel + this.queue) {
      const problem = `n asks for ${count} answers at once, and this server takes ${this.parallel + this.queue}`;
      throw new HttpError(400, 'invalid_value', problem, { param: 'n' });
    }
    if (count > free) {
      const problem = `${this.#running} answers are being generated and ${this.#waiting.size} wait; try again later`;
      throw new HttpError(429, 'queue_full', problem, { retryAfter: this.retryAfter() });
    }
    return Array.from({ length: count }, () => this.#place());
  }

  /** Seconds after which a place in the queue should be free. */
  retryAfter(): number {
    return Math.max(1, Math.min(60, Math.ceil(this.#mean / this.parallel)));
  }

  /** Turns away what waits. */
  refuseWaiting(error: HttpError): void {
    for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) next.refuse(error);
  }

  #place(): Place {
    let state: 'waiting' | 'running' | 'left' = 'waiting';
    let begin = 0;
    let waiting: Link<Waiting> | undefined;
    const run = () => {
      state = 'running';
      this.#running++;
      begin = this.now();
    };
    const ready = new Promise<void>((resolve, reject) => {
      if (this.#running < this.parallel && this.#waiting.size === 0) {
        run();
        resolve();
        return;
      }
      waiting = this.#waiting.add({ start: () => resolve(run()), refuse: reject });
    });
    ready.catch(() => {}); // whoever waits for it is told; others may have left
    return {
      ready,
      leave: () => {
        if (state === 'running') {
          this.#running--;
          this.#mean += NEWEST * ((this.now() - begin) / 1000 - this.#mean);
        } else if (waiting) {
          this.#waiting.remove(waiting);
          waiting.value.refuse(new HttpError(503, 'unavailable', 'the place was left'));
        }
        if (state === 'left') return;
        state = 'left';
        this.#startNext();
      },
    };
  }

  #startNext(): void {
    while (this.#running < this.parallel && this.#waiting.size > 0) this.#waiting.shift()!.start();
  }
}
