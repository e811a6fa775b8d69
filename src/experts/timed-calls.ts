/** Layers are timed in turn, but for 7 of them, and each for one lane and then for the other. */
const AT_FIRST = 7;
/** Once so many calls were timed, what they taught is known: more seldom then. */
const TAUGHT = 50;
const LATER = 29;

/** Which calls are timed, by a synchronisation that makes the accelerator wait for the thread: every n-th. */
export class TimedCalls {
  private left = 0;
  private timed = 0;
  /** What each layer was timed for last. */
  private readonly last: ('cpu' | 'accelerator' | undefined)[] = [];

  /** What the call at hand is timed for, if it is. */
  next(layer: number): 'cpu' | 'accelerator' | undefined {
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
