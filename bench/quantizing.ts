// A Mixtral of 2.4 GB in bf16, copied and loaded to a quantized type in turn: `node dist/bench/quantizing.js FOLDER`.
import { execFileSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { prepareEnvironment } from '#fiddler/devices/environment.js';
import { loadEngine } from '#fiddler/engine/load.js';
import { median } from './median.js';
import { writeModel } from './serving-model.js';

const { values: args, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    type: { type: 'string', default: 'q4_k' },
    accelerator: { type: 'string', default: 'none' },
    rounds: { type: 'string', default: '5' },
    /** Loads the model in the folder, for the process that compares. */
    alone: { type: 'boolean', default: false },
  },
});

/** Seconds: by the clock, and of all threads' CPU time, in the program and in the kernel. */
interface Times {
  clock: number;
  user: number;
  system: number;
}

function timeLoad(model: string): Times {
  prepareEnvironment({});
  const [cpu, begin] = [process.cpuUsage(), performance.now()];
  loadEngine(model, { accelerator: args.accelerator as 'none', quantize: args.type as 'q4_k', profile: false }).close();
  const clock = (performance.now() - begin) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return { clock, user: user / 1e6, system: system / 1e6 };
}

/** Bash's `time` measures `cp`, which has no time left over from its beginning. */
function timeCopy(from: string, to: string): Times {
  rmSync(to, { force: true });
  const script = 'TIMEFORMAT="%R %U %S"; time cp "$0" "$1" 2>/dev/null';
  const text = execFileSync('bash', ['-c', `exec 2>&1; ${script}`, from, to], { encoding: 'utf8' });
  const [clock, user, system] = text.trim().split(' ').map(Number) as [number, number, number];
  return { clock, user, system };
}

function compare(folder: string): void {
  const model = join(folder, 'model');
  const file = join(model, 'model.safetensors');
  const copy = join(folder, 'copy');
  if (!existsSync(file)) writeModel(model, { layers: 3, hidden: 2048, width: 7168, experts: 9, vocabulary: 4096 });
  const load = (): Times => {
    const flags = ['--alone', model, '--type', args.type, '--accelerator', args.accelerator];
    return JSON.parse(execFileSync(process.execPath, [fileURLToPath(import.meta.url), ...flags], { encoding: 'utf8' }));
  };
  load(); // the file is in the page cache from here on
  const rounds = Array.from({ length: Number(args.rounds) }, () => {
    const before = loadavg()[0]!;
    const round = { copied: timeCopy(file, copy), loaded: load(), before };
    const { copied, loaded } = round;
    console.log(`load average ${before.toFixed(2)}: cp ${line(copied)}; loading ${line(loaded)}`);
    return round;
  });
  rmSync(copy, { force: true });
  const ratio = median(rounds.map(({ copied, loaded }) => loaded.clock / copied.clock));
  console.log(`median of ratios ${ratio.toFixed(2)}`);
}

function line({ clock, user, system }: Times): string {
  return `${clock.toFixed(2)} s (CPU ${user.toFixed(2)} + ${system.toFixed(2)})`;
}

const [folder] = positionals;
if (!folder) throw new Error('name a folder with room for 5 GB');
if (args.alone) console.log(JSON.stringify(timeLoad(folder)));
else compare(folder);
