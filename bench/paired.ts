// Decoding and prefill by this build and by another one, in turn, on one thread: `node dist/bench/paired.js FOLDER`.
import { execFileSync } from 'node:child_process';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { median } from './median.js';

const here = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

const { values: args, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    model: { type: 'string', default: join(here, 'models', 'mini-mixtral') },
    accelerator: { type: 'string', default: 'none' },
    policy: { type: 'string', default: 'fiddler' }, // every build has it
    pairs: { type: 'string', default: '11' },
    runs: { type: 'string', default: '5' },
    tokens: { type: 'string', default: '200' },
    prompt: { type: 'string', default: '256' },
    /** Measures the build in the folder alone, for the process that compares. */
    alone: { type: 'boolean', default: false },
  },
});
const [tokens, runs] = [Number(args.tokens), Number(args.runs)];
const prompt = Array.from({ length: Number(args.prompt) }, (_, i) => 3 + ((i * 37) % 250)); // any tokens

/** Milliseconds a token, of all threads' CPU time and of the clock. */
interface Times {
  cpu: number;
  clock: number;
}
type Measured = Record<'decode' | 'prefill', Times>;

function timed(count: number, run: () => void): Times {
  const [cpu, clock] = [process.cpuUsage(), performance.now()];
  run();
  const { user, system } = process.cpuUsage(cpu);
  return { cpu: (user + system) / 1000 / count, clock: (performance.now() - clock) / count };
}

/** Medians of some runs of the build in `root`. What is imported is that build's, whatever its types are. */
async function measure(root: string): Promise<Measured> {
  const built = (file: string) => import(pathToFileURL(join(root, 'dist', file)).href);
  const { prepareEnvironment } = await built('devices/environment.js');
  const { loadEngine } = await built('engine/load.js');
  prepareEnvironment({});
  const { accelerator, policy } = args;
  const session = loadEngine(args.model, {
    accelerator,
    policy,
    expertsResident: accelerator === 'none' ? undefined : 0.5,
    threads: 1,
    profile: false,
  });
  const never = () => false;
  const answer = (to: readonly number[], maxTokens: number) =>
    session.generate(to, { temperature: 0, maxTokens }, never, never);
  // Neither begins as the other, so that the KV cache serves none of it.
  const prefill = () => answer(prompt, 1);
  const decode = () => answer([1, 504, 1189, 332, 278], tokens);
  const both = () => ({ prefill: timed(prompt.length, prefill), decode: timed(tokens, decode) });
  both(); // graphs are built, and the code is compiled
  const times = Array.from({ length: runs }, both);
  session.close();
  const middle = (what: keyof Measured) => ({
    cpu: median(times.map((t) => t[what].cpu)),
    clock: median(times.map((t) => t[what].clock)),
  });
  return { decode: middle('decode'), prefill: middle('prefill') };
}

function measureAlone(root: string): Measured {
  const flags = (['model', 'accelerator', 'policy', 'runs', 'tokens', 'prompt'] as const).flatMap((name) => [
    `--${name}`,
    args[name],
  ]);
  const script = fileURLToPath(import.meta.url);
  return JSON.parse(execFileSync(process.execPath, [script, '--alone', root, ...flags], { encoding: 'utf8' }));
}

function compare(other: string): void {
  const pairs = Array.from({ length: Number(args.pairs) }, (_, i) => {
    const inTurn = i % 2 === 0 ? [here, other] : [other, here];
    const times = new Map(inTurn.map((root) => [root, measureAlone(root)]));
    return { ours: times.get(here)!, theirs: times.get(other)! };
  });
  for (const what of ['decode', 'prefill'] as const) {
    for (const time of ['cpu', 'clock'] as const) {
      const ours = pairs.map((pair) => pair.ours[what][time]);
      const theirs = pairs.map((pair) => pair.theirs[what][time]);
      const ratios = ours.map((ms, i) => ms / theirs[i]!);
      const both = `${median(ours).toFixed(3)} ms a token, the other ${median(theirs).toFixed(3)}`;
      const slower = ratios.filter((ratio) => ratio > 1).length;
      const found = `median of ratios ${median(ratios).toFixed(3)}, ${slower} of ${ratios.length} above 1`;
      console.log(`${args.accelerator}, ${what}, ${time}: ${both}; ${found}`);
    }
  }
}

const [folder] = positionals;
if (!folder) throw new Error('name the folder of the other build');
if (args.alone) console.log(JSON.stringify(await measure(resolve(folder))));
else compare(resolve(folder));
