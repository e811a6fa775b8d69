import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { onTestFinished } from 'vitest';

/** A process of the built command. */
export interface Running {
  child: ChildProcessWithoutNullStreams;
  /** What it wrote to stdout, a buffer for each time. */
  chunks: Buffer[];
  /** Resolves once something arrived on stdout; rejects where it ends without. */
  started: Promise<void>;
  ended: Promise<Ended>;
}

/** What it did until it ended. */
export interface Ended {
  /** Exit code; null where a signal ended it. */
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** Starts `fiddler` with these arguments; stdin is a pipe that stays open. */
export function start(args: readonly string[], env: Readonly<Record<string, string>> = {}): Running {
  return startNode(['dist/cli/main.js', ...args], env);
}

function startNode(args: readonly string[], env: Readonly<Record<string, string>> = {}): Running {
  const child = spawn(process.execPath, args, { env: { ...process.env, ...env } });
  onTestFinished(() => void child.kill('SIGKILL')); // a test that failed leaves none behind
  const chunks: Buffer[] = [];
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.stdin.on('error', () => {}); // it may end without reading
  const started = new Promise<void>((resolve, reject) => {
    child.stdout.once('data', () => resolve());
    child.once('close', (code, signal) => reject(new Error(`ended with ${code ?? signal} and no output: ${stderr}`)));
  });
  started.catch(() => {}); // not every test waits for it
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      resolve({ code, signal, stdout: Buffer.concat(chunks).toString('utf8'), stderr });
    });
  });
  return { child, chunks, started, ended };
}

/** Runs `fiddler` to its end with `input` on stdin. */
export function fiddler(args: readonly string[], input = ''): Promise<Ended> {
  const { child, ended } = start(args);
  child.stdin.end(input);
  return ended;
}

/** What `fiddler` does with each of these arguments, all in one process: for what is told without doing much. */
export async function inTurn(each: readonly (readonly string[])[]): Promise<Ended[]> {
  const { child, ended } = startNode(['test/cli/in-turn.mjs']);
  child.stdin.end(JSON.stringify(each));
  const { code, stdout, stderr } = await ended;
  if (code !== 0) throw new Error(`ended with ${code}: ${stderr}`);
  return JSON.parse(stdout);
}

/** The objects of an output of one JSON object a line. */
// biome-ignore lint/suspicious/noExplicitAny: what a line holds is what the tests check
export function jsonLines(stdout: string): any[] {
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
}

/** What a command says on stderr, but that other programs had the cores while it measured, after which it stores nothing. */
export const unwarned = (stderr: string) => stderr.replace(/^fiddler: warning: other programs had the cores .*\n/m, '');
