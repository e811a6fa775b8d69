import { parseArgs } from 'node:util';
import { load } from '#fiddler/index.js';
import { percentile, startServer, streamed } from './serving-support.js';

/** What clients saw. */
interface Seen {
  /** Seconds. */
  ttft: number[];
  between: number[];
  tokensPerSecond: number;
}

const TOPICS = ['old house', 'dark night', 'sea captain', 'letter', 'garden', 'railway', 'winter', 'market'];

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    clients: { type: 'string', default: '1,2,4,8,16' },
    requests: { type: 'string', default: '2' },
    tokens: { type: 'string', default: '64' },
    rounds: { type: 'string', default: '3' },
    accelerator: { type: 'string', default: 'none' },
    threads: { type: 'string' },
  },
});
const [model = 'models/mini-mixtral'] = positionals;
const [requests, tokens, rounds] = [flags.requests, flags.tokens, flags.rounds].map(Number) as [number, number, number];

/**
 * Has each of several clients ask for texts, one after the other, and times their pieces.
 * @param ask gives the pieces of a text
 */
async function measure(clients: number, ask: (prompt: string) => AsyncIterable<string>): Promise<Seen> {
  const seen: Seen = { ttft: [], between: [], tokensPerSecond: 0 };
  const begin = performance.now();
  let pieces = 0;
  const client = async (number: number) => {
    for (let i = 0; i < requests; i++) {
      let last = performance.now();
      let isFirst = true;
      for await (const _ of ask(`${number}.${i}: the ${TOPICS[(number + i) % TOPICS.length]}`)) {
        const now = performance.now();
        (isFirst ? seen.ttft : seen.between).push((now - last) / 1000);
        [last, isFirst] = [now, false];
        pieces++;
      }
    }
  };
  await Promise.all(Array.from({ length: clients }, (_, i) => client(i)));
  seen.tokensPerSecond = (1000 * pieces) / (performance.now() - begin);
  return seen;
}

const ms = (values: readonly number[], share: number) => (1000 * percentile(values, share)).toFixed(1);

function row(clients: number, who: string, seen: readonly Seen[]): string {
  const ttft = seen.flatMap((one) => one.ttft);
  const between = seen.flatMap((one) => one.between);
  const rate = Math.max(...seen.map((one) => one.tokensPerSecond));
  const shares = [0.5, 0.9, 0.99];
  return `| ${clients} | ${who} | ${rate.toFixed(0)} | ${shares.map((p) => ms(ttft, p)).join(' / ')} | ${shares.map((p) => ms(between, p)).join(' / ')} |`;
}

const options = { temperature: 0, maxTokens: tokens, ignoreEnd: true };
const threads = flags.threads === undefined ? [] : ['--threads', flags.threads];
const most = Math.max(...flags.clients.split(',').map(Number));
const server = await startServer([model, '--accelerator', flags.accelerator, '--parallel', `${most}`, ...threads]);
const library = await load(model, {
  accelerator: flags.accelerator as 'none',
  ...(flags.threads && { threads: Number(flags.threads) }),
});
const body = { temperature: 0, max_tokens: tokens, ignore_eos: true };
try {
  console.log('| clients | by | pieces/s, best | TTFT p50 / p90 / p99, ms | between pieces p50 / p90 / p99, ms |');
  console.log('| ---: | --- | ---: | --- | --- |');
  for (const clients of flags.clients.split(',').map(Number)) {
    const [http, own]: [Seen[], Seen[]] = [[], []];
    for (let round = 0; round < rounds; round++) {
      http.push(await measure(clients, (prompt) => streamed(server.url, { prompt, ...body })));
      own.push(await measure(clients, (prompt) => library.generate(prompt, options)));
    }
    console.log(row(clients, 'HTTP', http));
    console.log(row(clients, 'library', own));
  }
} finally {
  await library.close();
  server.child.kill('SIGTERM');
}
