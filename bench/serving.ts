import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { load } from '#fiddler/index.js';
import { writeModel } from './serving-model.js';
import { percentile, startServer, streamed } from './serving-support.js';

/** What clients saw. */
interface Seen {
  /** Seconds. */
  ttft: number[];
  between: number[];
  tokensPerSecond: number;
  /** Milliseconds of CPU that whoever generates took for a token: what else the machine does takes none of it. */
  cpu: number;
  /** Of it on the thread of the event loop, which has all of HTTP in a server. */
  loop: number;
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
    write: { type: 'boolean' },
  },
});
const [model = 'models/mini-mixtral'] = positionals;
if (flags.write) {
  writeModel(model);
  process.exit();
}
const [requests, tokens, rounds] = [flags.requests, flags.tokens, flags.rounds].map(Number) as [number, number, number];

/**
 * Has each of several clients ask for texts, one after the other, and times their pieces.
 * @param ask gives the pieces of a text
 */
async function measure(clients: number, ask: (prompt: string) => AsyncIterable<string>, pid: number): Promise<Seen> {
  const seen: Seen = { ttft: [], between: [], tokensPerSecond: 0, cpu: 0, loop: 0 };
  const [before, loopBefore] = [cpuTime(pid), loopTime(pid)];
  const begin = performance.now();
  const client = async (number: number) => {
    for (let i = 0; i < requests; i++) {
      let last = performance.now();
      let isFirst = true;
      for await (const _ of ask(`${number}.${i}: the ${TOPICS[(number + i) % TOPICS.length]}`)) {
        const now = performance.now();
        (isFirst ? seen.ttft : seen.between).push((now - last) / 1000);
        [last, isFirst] = [now, false];
      }
    }
  };
  await Promise.all(Array.from({ length: clients }, (_, i) => client(i)));
  seen.cpu = (cpuTime(pid) - before) / (clients * requests * tokens);
  seen.loop = (loopTime(pid) - loopBefore) / (clients * requests * tokens);
  seen.tokensPerSecond = (1000 * clients * requests * tokens) / (performance.now() - begin);
  return seen;
}

/** Milliseconds of CPU that a process has had, in steps of ten. */
function cpuTime(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return 10 * (Number(fields[11]) + Number(fields[12]));
}

/** Milliseconds of CPU of a process's first thread. */
function loopTime(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0]) / 1e6;
}

const ms = (values: readonly number[], share: number) => (1000 * percentile(values, share)).toFixed(1);

function row(clients: number, who: string, seen: readonly Seen[]): string {
  const ttft = seen.flatMap((one) => one.ttft);
  const between = seen.flatMap((one) => one.between);
  const rates = seen.map((one) => one.tokensPerSecond);
  const shares = [0.5, 0.9, 0.99];
  const median = (values: number[]) => percentile(values, 0.5).toFixed(2);
  const [cpu, loop] = [median(seen.map((one) => one.cpu)), median(seen.map((one) => one.loop))];
  return `| ${clients} | ${who} | ${percentile(rates, 0.5).toFixed(1)} (${Math.max(...rates).toFixed(1)}) | ${cpu} | ${loop} | ${shares.map((p) => ms(ttft, p)).join(' / ')} | ${shares.map((p) => ms(between, p)).join(' / ')} |`;
}

const options = { temperature: 0, maxTokens: tokens, ignoreEnd: true };
const threads = flags.threads === undefined ? [] : ['--threads', flags.threads];
const most = Math.max(...flags.clients.split(',').map(Number));
const server = await startServer([model, '--accelerator', flags.accelerator, '--parallel', `${most}`, ...threads]);
const library = await load(model, {
  accelerator: flags.accelerator as 'none',
  sequences: most,
  learn: false,
  ...(flags.threads && { threads: Number(flags.threads) }),
});
const body = { temperature: 0, max_tokens: tokens, ignore_eos: true };
try {
  console.log(
    '| clients | by | tokens/s, median (best) | CPU of a token, ms | of it on the event loop | TTFT p50 / p90 / p99, ms | between pieces p50 / p90 / p99, ms |',
  );
  console.log('| ---: | --- | ---: | ---: | ---: | --- | --- |');
  for (const clients of flags.clients.split(',').map(Number)) {
    const [http, own]: [Seen[], Seen[]] = [[], []];
    for (let round = 0; round < rounds; round++) {
      http.push(await measure(clients, (prompt) => streamed(server.url, { prompt, ...body }), server.child.pid!));
      own.push(await measure(clients, (prompt) => library.generate(prompt, options), process.pid));
    }
    console.log(row(clients, 'HTTP', http));
    console.log(row(clients, 'library', own));
    const more = (of: (seen: Seen) => number) =>
      http.map((one, i) => 100 * (of(one) / of(own[i]!) - 1)).map((each) => `${each.toFixed(1)}%`);
    const [rates, cpu] = [more(({ tokensPerSecond }) => tokensPerSecond), more((seen) => seen.cpu)];
    console.log(`| ${clients} | HTTP beside the library, by rounds | ${rates.join(', ')} | ${cpu.join(', ')} | | | |`);
  }
} finally {
  await library.close();
  server.child.kill('SIGTERM');
}
