/** What kind of mistake an error reports; the command line maps `usage` to exit code 2 and everything else to 1. */
export type ErrorCode =
  | 'usage' // an option or argument makes no sense
  | 'file' // a file is missing, unreadable or broken
  | 'unsupported' // a model, type or feature this engine does not run
  | 'network' // a server cannot be reached, refuses access, or answers wrongly
  | 'memory' // something does not fit
  | 'device' // an accelerator or native library fails
  | 'context' // more tokens than the context holds
  | 'numeric'; // the model computed values that are not numbers

/** The one error that Fiddler throws on purpose: what is wrong, and what to do about it. */
export class FiddlerError extends Error {
  override readonly name = 'FiddlerError';

  constructor(
    readonly code: ErrorCode,
    /** One line: what is wrong. */
    readonly problem: string,
    /** One line: what to do. */
    readonly remedy: string,
    options?: ErrorOptions,
  ) {
    super(`${problem}; ${remedy}`, options);
  }
}
