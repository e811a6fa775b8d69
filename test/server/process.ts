import { type ChildProcess, spawn } from 'node:child_process';

/** A server: the built command as a process. */
export interface Served {
  url: string;
  /** `url` with /v1, as clients want it. */
  base: string;
  child: ChildProcess;
  stdout: () => string;
  stderr: () => string;
  /** Resolves with the exit code. */
  ended: Promise<number | null>;
  stop(): Promise<void>;
}

const CPU = ['--accelerator', 'none', '--no-learn', '--no-profile', '--port', '0'];

/** Starts `fiddler serve`, by default with the bundled model on the CPU, and waits until it is ready. */
export async function serve(...args: string[]): Promise<Served> {
  const child = spawn(process.execPath, ['dist/cli/main.js', 'serve', ...CPU, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const written = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      written[name] += text;
    });
  }
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout.on('data', () => {
      const found = /(http:\S+)\/v1[\s\S]*to end/.exec(written.stdout);
      if (found) resolve(found[1]!);
    });
    child.on('close', (code) => reject(new Error(`it ended with ${code}: ${written.stderr}`)));
  });
  return {
    url,
    base: `${url}/v1`,
    child,
    stdout: () => written.stdout,
    stderr: () => written.stderr,
    ended,
    stop: async () => {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** A request with a JSON body. */
export function post(url: string, body: unknown, init: RequestInit = {}): Promise<Response> {
  const headers = { 'content-type': 'application/json', ...init.headers };
  return fetch(url, { method: 'POST', ...init, headers, body: typeof body === 'string' ? body : JSON.stringify(body) });
}
