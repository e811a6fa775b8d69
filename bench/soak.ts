import { readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { percentile, Refused, startServer, streamed } from './serving-support.js';

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    minutes: { type: 'string', default: '20' },
    clients: { type: 'string', default: '12' },
    threads: { type: 'string', default: '1' },
  },
});
const [model = 'models/mini-mixtral'] = positionals;
const [PARALLEL, QUEUE] = [2, 8];
const minutes = Number(flags.minutes);

const server = await startServer([
  ...[model, '--accelerator', 'none', '--threads', flags.threads],
  ...['--dtype', 'f32'], // in the stored type what is computed beside others rounds otherwise
  ...['--parallel', `${PARALLEL}`, '--queue', `${QUEUE}`],
]);
const counts = { asked: 0, answered: 0, refused: 0, left: 0, wrong: 0 };
const latencies: number[] = [];
const expected = new Map<string, string>();

/** Bytes of the server that are resident. */
function residentBytes(): number {
  return 4096 * Number(readFileSync(`/proc/${server.child.pid}/statm`, 'utf8').split(' ')[1]);
}

function average(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Asks for texts of random lengths, now and then vanishing, until the end. */
async function client(end: number): Promise<void> {
  while (performance.now() < end) {
    const body = {
      prompt: `Chapter ${Math.floor(20 * Math.random())}. The`,
      temperature: 0,
      max_tokens: [1, 8, 64][counts.asked % 3],
    };
    const key = JSON.stringify(body);
    const leaves = Math.random() < 0.1 ? Math.floor(5 * Math.random()) : Number.POSITIVE_INFINITY;
    counts.asked++;
    const begin = performance.now();
    let text = '';
    try {
      let pieces = 0;
      let gone = false;
      for await (const piece of streamed(server.url, body)) {
        text += piece;
        gone = ++pieces > leaves;
        if (gone) break;
      }
      if (gone) counts.left++;
      else {
        counts.answered++;
        latencies.push(performance.now() - begin);
        const known = expected.get(key) ?? text;
        expected.set(key, known);
        if (known !== text) counts.wrong++; // lost or doubled pieces show as another text
      }
    } catch (error) {
      if (!(error instanceof Refused && error.status === 429)) throw error;
      counts.refused++;
      await setTimeout(200 * Math.random());
    }
  }
}

const begin = performance.now();
const end = begin + 60_000 * minutes;
const clients = Promise.all(Array.from({ length: Number(flags.clients) }, () => client(end)));
const mb = (bytes: number) => (bytes / 1e6).toFixed(1);
/** Means of each twentieth of the time: a heap goes up and down by some MB from one collection to the next. */
const means: number[] = [];
const SAMPLES = 60;
while (performance.now() < end) {
  let sum = 0;
  for (let i = 0; i < SAMPLES; i++) {
    await setTimeout((60_000 * minutes) / 20 / SAMPLES);
    sum += residentBytes();
  }
  means.push(sum / SAMPLES);
  const passed = ((performance.now() - begin) / 60_000).toFixed(1);
  console.log(`${passed} min: ${mb(means.at(-1)!)} MB, ${JSON.stringify(counts)}`);
}
await clients;
/** After a tenth of the time everything was used once. */
const settled = means.slice(2);
const [mean, least, most] = [average(settled), Math.min(...settled), Math.max(...settled)];
const off = (bytes: number) => `${(100 * (bytes / mean - 1)).toFixed(1)}%`;
console.log(
  `resident after a tenth: ${mb(mean)} MB, means from ${mb(least)} (${off(least)}) to ${mb(most)} (${off(most)})`,
);
const sum = counts.answered + counts.refused + counts.left;
console.log(
  `latency p50 / p90 / p99 / most: ${[0.5, 0.9, 0.99, 1].map((p) => `${percentile(latencies, p).toFixed(0)} ms`).join(' / ')}`,
);
console.log(`${counts.asked} asked: ${sum} accounted for, ${counts.wrong} with another text`);
server.child.kill('SIGTERM');
if (sum !== counts.asked || counts.wrong > 0) process.exitCode = 1;
