// Speed of decoding the bundled model, of the JavaScript between native calls, and of a command's first token.
import { spawn } from 'node:child_process';
import { cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { prepareEnvironment } from '#fiddler/devices/environment.js';
import { loadEngine } from '#fiddler/engine/load.js';
import type { Session } from '#fiddler/engine/session.js';
import type { LoadOptions } from '#fiddler/options.js';
import { median } from './median.js';
import { timeNativeCalls } from './native-time.js';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const model = join(root, 'models', 'mini-mixtral');
const prompt = [1, 504, 1189, 332, 278]; // any few tokens

const { values: args } = parseArgs({
  options: {
    runs: { type: 'string', default: '7' },
    tokens: { type: 'string', default: '200' },
    threads: { type: 'string' },
    'cpu-kernels': { type: 'string', default: 'auto' },
    json: { type: 'boolean', default: false },
  },
});
const runs = Number(args.runs);
const tokens = Number(args.tokens);

interface Figure {
  what: string;
  value: number;
  unit: string;
  /** What the value must reach, or stay below. */
  target: string;
  met: boolean;
}

/** Decodes greedily after the prompt, computing the prompt anew; end tokens do not end it here. */
function decode(session: Session): { seconds: number; tokens: number } {
  session.score(
    prompt,
    0,
    () => {},
    () => false,
  );
  const { decodeRate, generatedTokens } = session.generate(
    prompt,
    { temperature: 0, maxTokens: tokens },
    () => false,
    () => false,
  );
  return { seconds: (generatedTokens - 1) / decodeRate, tokens: generatedTokens - 1 };
}

function decodeRate(session: Session): Figure {
  const rates = Array.from({ length: runs }, () => {
    const { seconds, tokens: decoded } = decode(session);
    return decoded / seconds;
  });
  const value = median(rates);
  return { what: 'decoding, accelerator none', value, unit: 'tokens/s', target: '≥ 300', met: value >= 300 };
}

/** Time of decoding outside native calls; with it what it takes to time those calls. */
function javascriptTime(session: Session): Figure {
  const native = timeNativeCalls();
  const shares = Array.from({ length: runs }, () => {
    let [begin, inside, decoded] = [0, 0, -1];
    session.score(
      prompt,
      0,
      () => {},
      () => false,
    );
    session.generate(
      prompt,
      { temperature: 0, maxTokens: tokens },
      () => {
        // From the first token on, so that the prompt is left out.
        if (++decoded === 0) [begin, inside] = [performance.now(), native.milliseconds];
        return false;
      },
      () => false,
    );
    const javascript = performance.now() - begin - (native.milliseconds - inside);
    return (javascript * 1000) / decoded / session.info.layers;
  });
  const value = median(shares);
  return {
    what: 'JavaScript outside native calls',
    value,
    unit: 'µs a layer a token',
    target: '< 60',
    met: value < 60,
  };
}

/** Seconds from starting the command to the first byte of its output. */
function firstToken(accelerator: string): Promise<number> {
  const command = [join(root, 'dist', 'cli', 'main.js'), 'run', 'The old house stood', '--max-tokens', '4'];
  const begin = performance.now();
  const child = spawn(process.execPath, [...command, '--accelerator', accelerator, '--temperature', '0'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let first = Number.NaN;
  child.stdout.once('data', () => {
    first = (performance.now() - begin) / 1000;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => (code === 0 ? resolve(first) : reject(new Error(`fiddler run ended with ${code}`))));
  });
}

async function commandTime(accelerator: string, limit: number): Promise<Figure> {
  await firstToken(accelerator); // files come into the page cache, and probes are remembered
  const times: number[] = [];
  for (let i = 0; i < runs; i++) times.push(await firstToken(accelerator));
  const value = median(times);
  const what = `first token of fiddler run --accelerator ${accelerator}`;
  return { what, value, unit: 's', target: `≤ ${limit}`, met: value <= limit };
}

async function main(): Promise<void> {
  prepareEnvironment({});
  const figures: Figure[] = [await commandTime('none', 1.5), await commandTime('auto', 2)];
  const cpuKernels = args['cpu-kernels'] as LoadOptions['cpuKernels'];
  const threads = args.threads === undefined ? undefined : Number(args.threads);
  const session = loadEngine(model, { accelerator: 'none', threads, cpuKernels });
  try {
    decode(session); // graphs are built, and the code is compiled
    figures.push(decodeRate(session), javascriptTime(session));
  } finally {
    session.close();
  }
  const machine = {
    cpu: cpus()[0]?.model ?? 'unknown',
    threads: session.info.threads,
    kernels: session.info.kernels,
    node: process.version,
  };
  if (args.json) {
    console.log(JSON.stringify({ ...machine, runs, tokens, figures }));
    return;
  }
  console.log(
    `${machine.cpu}, ${machine.threads} threads, kernels ${machine.kernels}, Node ${machine.node}; medians of ${runs} runs`,
  );
  for (const { what, value, unit, target, met } of figures) {
    const figure = `${value.toPrecision(3)} ${unit}`;
    console.log(`${what.padEnd(46)} ${figure.padEnd(24)} ${target.padEnd(8)} ${met ? 'met' : 'MISSED'}`);
  }
}

await main();
