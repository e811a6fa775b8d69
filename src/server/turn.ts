import type { Place } from './admission.js';
import { HttpError } from './errors.js';

/** What one answer does with its place: it is started there once, unless it was ended before. */
export class Turn {
  #state: 'waiting' | 'started' | 'ended' = 'waiting';
  #left = false;

  /** @param onLeft called once, when the place was given back */
  constructor(
    private readonly place: Place,
    private readonly onLeft: () => void,
  ) {}

  /** Starts once it may. @throws HttpError 503: it was ended before, or the server ends */
  async start<T>(begin: () => T): Promise<T> {
    await this.place.ready;
    if (this.#state === 'ended') throw new HttpError(503, 'unavailable', 'the answer was ended before it began');
    this.#state = 'started';
    return begin();
  }

  /** It is not started any more; what was started goes on. */
  readonly end = (): void => {
    if (this.#state === 'waiting') this.leave();
  };

  /** Gives the place back, whatever became of it. */
  readonly leave = (): void => {
    if (this.#state === 'waiting') this.#state = 'ended';
    this.place.leave();
    if (this.#left) return;
    this.#left = true;
    this.onLeft();
  };
}
