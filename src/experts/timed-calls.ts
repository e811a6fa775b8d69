/** Layers are timed in turn, but for 7 of them, and each for one lane and then for the other. */
const AT_FIRST = 7;
/** Once so many calls were timed, what they taught is known: more seldom then. */
const TAUGHT = 50;
const LATER = 29;

/** What is waited for first, so that its time is its own. */
export type TimedLane = 'cpu' | 'accelerator';

/** Which calls of all are timed: those of one token and of several by themselves. */
export class CallTimers {
  private readonly single = new TimedCalls();
  private readonly several = new TimedCalls();

  /** @param overlaps lanes run beside each other: else none is timed */
  constructor(private readonly overlaps: boolean) {}

  /** What the call at hand is timed for, if it is. */
  next(layer: number, tokens: number): TimedLane | undefined {
    return this.overlaps ? (tokens === 1 ? this.single : this.several).next(layer) : undefined;
  }

  /** What was computed so far counts for nothing. */
  forget(): void {
    this.single.forget();
    this.several.forget();
  }
}

/** Which calls are timed, by a synchronisation that makes the accelerator wait for the thread: every n-th. */
export class TimedCalls {
  private left = 0;
  private timed = 0;
  /** What each layer was timed for last. */
  private readonly last: (TimedLane | undefined)[] = [];

  /** What the call at hand is timed for, if it is. */
  next(layer: number): TimedLane | undefined {
    if (this.left-- > 0) return undefined;
    this.left = (this.timed++ < TAUGHT ? AT_FIRST : LATER) - 1;
    const before = this.last[layer] ?? (this.timed % 2 === 0 ? 'cpu' : 'accelerator');
    this.last[layer] = before === 'cpu' ? 'accelerator' : 'cpu';
    return this.last[layer];
  }

  /** What was computed so far counts for nothing. */
  forget(): void {
    this.left = 0;
    this.timed = 0;
    this.last.length = 0;
  }
}
