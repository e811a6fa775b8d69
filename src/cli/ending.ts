import { FiddlerError } from '../errors.js';

/** How long an interrupted command may take to end by itself, in milliseconds. */
const GRACE = 10_000;

/** Thrown to end a command that has said all it has to say. */
export class Ended extends Error {
  constructor(readonly exitCode: number) {
    super('ended');
  }
}

/**
 * What ends a command before its work is done: Ctrl-C (exit code 130), SIGTERM (143), or a closed standard output (0,
 * silently). `signal` is aborted with the reason, so that the work ends in order; a second Ctrl-C ends the process at
 * once.
 */
export class Ending {
  readonly #controller = new AbortController();
  /** While set, Ctrl-C does this instead. */
  onInterrupt: (() => void) | undefined;
  /** Nobody reads standard output any more. */
  outputClosed = false;

  constructor() {
    process.on('SIGINT', () => this.interrupt());
    process.on('SIGTERM', () => this.#endBy('SIGTERM', 143));
    process.stdout.on('error', (error: NodeJS.ErrnoException) => this.#endByOutput(error));
    process.stderr.on('error', () => {}); // nobody is left to tell
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Ctrl-C, which a terminal in raw mode gives as a key. */
  interrupt(): void {
    if (this.onInterrupt) this.onInterrupt();
    else this.#endBy('SIGINT', 130);
  }

  /** @throws the reason, once something ended the command */
  throwIfEnded(): void {
    this.signal.throwIfAborted();
  }

  #endBy(name: NodeJS.Signals, exitCode: number): void {
    // A native call may block the engine thread, and with it the end of the process, for long.
    const die = () => {
      process.removeAllListeners(name);
      process.kill(process.pid, name);
    };
    if (this.signal.aborted) die();
    else setTimeout(die, GRACE).unref();
    this.#controller.abort(new Ended(exitCode));
  }

  #endByOutput(error: NodeJS.ErrnoException): void {
    this.outputClosed = error.code === 'EPIPE';
    const problem = `cannot write to standard output: ${error.message}`;
    this.#controller.abort(this.outputClosed ? new Ended(0) : new FiddlerError('file', problem, 'make room for it'));
  }
}
