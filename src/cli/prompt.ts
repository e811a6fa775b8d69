import { fstatSync } from 'node:fs';
import { FiddlerError } from '../errors.js';

/** After this many milliseconds without input the user is told what the command waits for. */
const HINT_AFTER = 2000;

/** Whether standard input is a pipe, a file or a socket: something to read without being asked to. */
function stdinIsPiped(): boolean {
  try {
    const stat = fstatSync(0);
    return stat.isFIFO() || stat.isFile() || stat.isSocket();
  } catch {
    return false; // closed
  }
}

/**
 * The text given on the command line, or on standard input where that is `-` or missing and something is piped; without
 * the newline at its end that `echo` adds. undefined where there is none.
 */
export async function readPrompt(argument: string | undefined, signal: AbortSignal): Promise<string | undefined> {
  if (argument !== undefined && argument !== '-') return argument;
  if (argument === undefined && !stdinIsPiped()) return undefined;
  const text = (await readStdin(signal)).replace(/\r?\n$/, '');
  return text === '' ? undefined : text;
}

async function readStdin(signal: AbortSignal): Promise<string> {
  const hint = setTimeout(() => process.stderr.write('fiddler: reading from standard input\n'), HINT_AFTER);
  const chunks: Buffer[] = [];
  const onAbort = () => process.stdin.destroy(signal.reason);
  signal.addEventListener('abort', onAbort);
  try {
    for await (const chunk of process.stdin) {
      clearTimeout(hint);
      chunks.push(chunk);
    }
  } finally {
    clearTimeout(hint);
    signal.removeEventListener('abort', onAbort);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Refuses a prompt given as text and as token ids. */
export function refuseBoth(argument: string | undefined, tokens: readonly number[] | undefined): void {
  if (argument === undefined || tokens === undefined) return;
  throw new FiddlerError('usage', 'both a text and --tokens were given', 'give one of them');
}
