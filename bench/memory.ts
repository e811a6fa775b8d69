import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { load } from '#fiddler/index.js';

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    requests: { type: 'string', default: '10000' },
    warm: { type: 'string', default: '2000' },
    tokens: { type: 'string', default: '4' },
    clients: { type: 'string', default: '8' },
    accelerator: { type: 'string', default: 'none' },
    threads: { type: 'string', default: '1' },
  },
});
const [model = 'models/mini-mixtral'] = positionals;
const [requests, warm, tokens, clients] = [flags.requests, flags.warm, flags.tokens, flags.clients].map(Number) as [
  ...[number, number, number, number],
];

// Else V8 enlarges the caller's young generation, which is this program's, and gives it back, by 20 MB at once.
setFlagsFromString('--semi-space-growth-factor=1');
const library = await load(model, {
  accelerator: flags.accelerator as 'none',
  threads: Number(flags.threads),
  sequences: clients,
  learn: false,
  profile: false,
});

/** Bytes of this process that are resident, without pages of files: those the kernel takes back as it likes. */
function residentBytes(): number {
  return 1024 * Number(/^RssAnon:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))![1]);
}

let asked = 0;
async function ask(until: number): Promise<void> {
  const client = async () => {
    while (asked < until) {
      const number = asked++;
      const options = { maxTokens: tokens, seed: number };
      for await (const _ of library.generate(`Chapter ${number % 50}. The`, options));
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
}

const mb = (bytes: number) => (bytes / 1e6).toFixed(1);
const report = () => {
  const { rss, heapTotal, external } = process.memoryUsage();
  const own = residentBytes();
  console.log(`| ${asked} | ${mb(rss)} | ${mb(own)} | ${mb(heapTotal)} | ${mb(external)} |`);
  return rss;
};

console.log('| requests | resident, MB | of it no files | main heap | external |');
console.log('| ---: | ---: | ---: | ---: | ---: |');
report();
await ask(warm);
const seen = [report()];
for (let step = 1; step <= 10; step++) {
  await ask(warm + (requests * step) / 10);
  seen.push(report());
}
const [settled, last] = [seen[0]!, seen.at(-1)!];
const change = (100 * (last / settled - 1)).toFixed(1);
const most = (100 * (Math.max(...seen) / settled - 1)).toFixed(1);
console.log(`resident behind ${warm} requests: ${mb(settled)} MB; ${requests} later ${change}%, at most ${most}% more`);
await library.close();
