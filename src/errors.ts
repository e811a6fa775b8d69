/** What kind of mistake an error reports; the command line maps `usage` to exit code 2 and everything else to 1. */
export type ErrorCode =
  | 'usage' // an option or argument makes no sense
  | 'file' // a file is missing, unreadable or broken
  | 'unsupported' // a model, type or feature this engine does not run
  | 'network' // a server cannot be reached, refuses access, or answers wrongly
  | 'memory' // something does not fit
  | 'device' // an accelerator or native library fails
  | 'context' // more tokens than the context holds
  | 'numeric' // the model computed values that are not numbers
  | 'internal'; // a mistake of this program

/** The one error that Fiddler throws on purpose: what is wrong, and what to do about it. */
export class FiddlerError extends Error {
  override readonly name = 'FiddlerError';
  /** One line: what is wrong. */
  readonly problem: string;
  /** One line: what to do. */
  readonly remedy: string;

  constructor(
    readonly code: ErrorCode,
    problem: string,
    remedy: string,
    options?: ErrorOptions,
  ) {
    const [what, todo] = [oneLine(problem), oneLine(remedy)];
    super(`${what}; ${todo}`, options);
    this.problem = what;
    this.remedy = todo;
  }

  /** `error` itself where it was thrown on purpose; else the system's reason, or a mistake of this program. */
  static of(error: unknown): FiddlerError {
    if (error instanceof FiddlerError) return error;
    const problem = String(error instanceof Error ? error.message : error);
    if (error instanceof Error && 'syscall' in error) {
      return new FiddlerError('file', problem, 'check that file and its disk', { cause: error });
    }
    const remedy = 'run again with --debug and report what it prints';
    return new FiddlerError('internal', `internal error: ${problem}`, remedy, { cause: error });
  }

  /** The same once `free` freed what was made before it; what fails in that is not why. */
  static after(error: unknown, free: () => void): FiddlerError {
    try {
      free();
    } catch {
      // everything that can be is freed
    }
    return FiddlerError.of(error);
  }
}

/** Longest that a part of an error is. */
const LONGEST = 2000;

/** What strangers wrote may be a part of an error: line ends, and what would command a terminal, are not. */
function oneLine(text: string): string {
  const visible = text
    .replaceAll(/\s*[\n\r\u2028\u2029]\s*/g, ' ')
    .replaceAll(/\p{Cc}/gu, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
  return visible.length > LONGEST ? `${visible.slice(0, LONGEST)}…` : visible;
}
