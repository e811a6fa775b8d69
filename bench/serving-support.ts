import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** `fiddler serve` as a process of its own. */
export interface ServerProcess {
  url: string;
  child: ChildProcess;
}

const MAIN = fileURLToPath(new URL('../cli/main.js', import.meta.url));

/** Starts it with these arguments, on a port that is free, and waits until it is ready. */
export function startServer(args: readonly string[]): Promise<ServerProcess> {
  const child = spawn(process.execPath, [MAIN, 'serve', '--port', '0', '--no-learn', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let written = '';
  return new Promise((resolve, reject) => {
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      written += text;
      const url = /(http:\S+)\/v1[\s\S]*to end/.exec(written)?.[1];
      if (url) resolve({ url, child });
    });
    child.on('exit', (code) => reject(new Error(`the server ended with ${code}`)));
  });
}

/** The value below which this share of `values` is. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

/** A continuation asked for by HTTP, its pieces of text as they come. */
export async function* streamed(url: string, body: object, signal?: AbortSignal): AsyncGenerator<string> {
  const response = await fetch(`${url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...body, stream: true }),
    signal,
  });
  if (response.status !== 200) throw new Refused(response.status, Number(response.headers.get('retry-after')));
  let rest = '';
  for await (const bytes of response.body!.pipeThrough(new TextDecoderStream())) {
    const events = (rest + bytes).split('\n\n');
    rest = events.pop()!;
    for (const event of events) {
      if (!event.startsWith('data: {')) continue;
      const { choices, error } = JSON.parse(event.slice(6));
      if (error) throw new Error(error.message);
      if (choices[0]?.text) yield choices[0].text;
    }
  }
}

/** An answer other than 200. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly retryAfter: number,
  ) {
    super(`refused with ${status}`);
  }
}
