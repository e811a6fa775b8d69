import { FiddlerError } from '../errors.js';

/** How long an interrupted command may take to end by itself, in milliseconds. */
const GRACE = 10_000;

/** Thrown to end a command that has said all it has to say. */
export class Ended extends Error {
  constructor(readonly exitCode: number) {
    super('ended');
  }
}

/** Ends the process where standard output fails: for commands with no work to end in order. */
export function endWithOutput(): void {
  process.stdout.on('error', throwFailure);
  process.stderr.on('error', () => {}); // nobody is left to tell
}

function throwFailure(error: NodeJS.ErrnoException): never {
  throw failureOf(error);
}

/** Why a command ends that cannot write: silently where nobody reads it any more. */
function failureOf({ code, message }: NodeJS.ErrnoException): Ended | FiddlerError {
  if (code === 'EPIPE') return new Ended(0);
  return new FiddlerError('file', `cannot write to standard output: ${message}`, 'make room for it');
}

/**
 * What ends a command before its work is done: Ctrl-C (exit code 130), SIGTERM (143), or a closed standard output (0,
 * silently). `signal` is aborted with the reason, so that the work ends in order; a second Ctrl-C ends the process at
 * once.
 */
export class Ending {
  readonly #controller = new AbortController();
  /** Ends the process once an interrupted command has taken too long. */
  #deadline: { die: () => void; timer: NodeJS.Timeout } | undefined;
  /** While set, Ctrl-C does this instead. */
  onInterrupt: (() => void) | undefined;
  /** Nobody reads standard output any more. */
  outputClosed = false;

  constructor() {
    process.on('SIGINT', () => this.interrupt());
    process.on('SIGTERM', () => this.#endBy('SIGTERM', 143));
    process.stdout.off('error', throwFailure).on('error', (error) => this.#endByOutput(error));
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Resolves once something ended the command, at once where it has. */
  get ended(): Promise<void> {
    return new Promise((resolve) => {
      if (this.signal.aborted) resolve();
      else this.signal.addEventListener('abort', () => resolve(), { once: true });
    });
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

  /** Lets the command take so many seconds more to end by itself. */
  allow(seconds: number): void {
    const { die } = this.#deadline ?? {};
    if (!die) return;
    clearTimeout(this.#deadline!.timer);
    this.#deadline!.timer = setTimeout(die, GRACE + 1000 * seconds).unref();
  }

  #endBy(name: NodeJS.Signals, exitCode: number): void {
    // A native call may block the engine thread, and with it the end of the process, for long.
    const die = () => {
      process.removeAllListeners(name);
      process.kill(process.pid, name);
    };
    if (this.signal.aborted) die();
    else this.#deadline = { die, timer: setTimeout(die, GRACE).unref() };
    this.#controller.abort(new Ended(exitCode));
  }

  #endByOutput(error: NodeJS.ErrnoException): void {
    const failure = failureOf(error);
    this.outputClosed = failure instanceof Ended;
    this.#controller.abort(failure);
  }
}
