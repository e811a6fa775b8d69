import { createContext, Script } from 'node:vm';
import { FiddlerError } from '../../errors.js';

/** Longest that a short text may take; milliseconds. */
const LONGEST = 10_000;
/** More for each character or token; a millisecond reads hundreds. */
const MORE = 0.1;

/** Has the library do `run` with `size` characters or tokens; without a size nothing is in it that may take long. */
export type Use = <T>(run: () => T, size?: number) => T;

/**
 * How the library is used that reads what `file` describes: it fails where that cannot be done, and a regular expression
 * may take for ever. What takes too long is ended, also within an expression; its `finally` then does not run.
 * @param longest for a text without characters, in milliseconds
 * @throws FiddlerError (its result) `file`; `unsupported`: a step that is not known
 */
export function useOf(file: string, longest = LONGEST): Use {
  const remedy = 'give token ids in place of text';
  return (run, size) => {
    const timeout = size === undefined ? undefined : Math.ceil(longest + size * MORE);
    try {
      return timeout === undefined ? run() : limited(timeout, run);
    } catch (error) {
      const { message, code } = error as NodeJS.ErrnoException;
      if (/^Unknown \w+ type/.test(message)) {
        const problem = `${file} describes a tokenizer that is not supported: ${message}`;
        throw new FiddlerError('unsupported', problem, remedy, { cause: error });
      }
      const problem =
        code === 'ERR_SCRIPT_EXECUTION_TIMEOUT'
          ? `${file} describes a tokenizer that takes more than ${Math.round(timeout! / 1000)} s for ${size} characters or tokens`
          : `${file} describes no tokenizer that can be used: ${message.split('\n')[0]}`;
      throw new FiddlerError('file', problem, `download it again, or ${remedy}`, { cause: error });
    }
  };
}

const context = createContext({ run: () => {} });
const script = new Script('run()');

/** What `run` gives, which is ended after so many milliseconds, also within a regular expression. */
function limited<T>(timeout: number, run: () => T): T {
  context.run = run;
  return script.runInContext(context, { timeout }) as T;
}
