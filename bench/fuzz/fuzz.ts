// Reads inputs that were changed at random: none may end the process, take a second, or throw an error without a code.
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { TARGETS } from './targets/index.js';

const { values: args } = parseArgs({
  options: {
    /** In all, divided between the targets. */
    cases: { type: 'string', default: '100000' },
    /** Most time, in all; seconds. */
    seconds: { type: 'string', default: '3600' },
    /** Seed and number of a case make its input: `--target config --seed 1 --first 27 --cases 1` repeats one. */
    seed: { type: 'string', default: `${Date.now() % 2 ** 21}` },
    first: { type: 'string', default: '0' },
    /** Names, or URLs of modules. */
    target: { type: 'string', multiple: true, default: Object.keys(TARGETS) },
  },
});

/** Cases of one process: a new one starts with memory of its own. */
const CHUNK = 2000;
/** A case on which nothing is heard for so long hangs; milliseconds. */
const SILENCE = 20_000;
/** Findings after which a target is left. */
const ENOUGH = 20;
const CHILD_HEAP_MIB = 1024;

interface Run {
  name: string;
  folder: string;
  end: number;
  /** When to stop, as of Date.now(). */
  until: number;
}

const folder = mkdtempSync(join(tmpdir(), 'fiddler-fuzz-'));
const names = args.target;
const share = Math.ceil(Number(args.cases) / names.length);
const begin = Date.now();
let [cases, findings] = [0, 0];
console.log(`seed ${args.seed}, ${names.length} targets, ${share} cases each`);
for (const [i, name] of names.entries()) {
  const left = Number(args.seconds) * 1000 - (Date.now() - begin);
  const first = Number(args.first);
  const own = join(folder, `${i}`);
  mkdirSync(own);
  await fuzz({ name, folder: own, end: first + share, until: Date.now() + left / (names.length - i) }, first);
}
console.log(`${cases} cases, ${findings} findings, ${((Date.now() - begin) / 1000).toFixed(0)} s`);
if (findings === 0) rmSync(folder, { recursive: true });
if (cases === 0 || findings > 0) process.exitCode = 1;

async function fuzz(run: Run, first: number): Promise<void> {
  const outcomes: Record<string, number> = {};
  const started = Date.now();
  let next = first;
  let found = 0;
  const finding = (index: number, problem: string, file = '') => {
    found++;
    console.log(`${run.name}, --seed ${args.seed} --first ${index}: ${problem} ${file}`);
  };
  while (next < run.end && found < ENOUGH && Date.now() < run.until) {
    const { lines, death } = await runChild(run, next);
    for (const line of lines) {
      if ('finding' in line) finding(line.finding, line.problem, line.file);
      else {
        next = line.next;
        for (const [name, count] of Object.entries(line.outcomes)) outcomes[name] = (outcomes[name] ?? 0) + count;
      }
    }
    if (death === undefined) continue;
    const at = Number(caseIn(run.folder));
    if (!(at >= next)) throw new Error(`the target ${run.name} cannot be made: ${death}`);
    finding(at, death);
    next = at + 1;
  }
  cases += next - first;
  findings += found;
  const counts = Object.entries(outcomes).map(([name, count]) => `${count} ${name}`);
  const seconds = ((Date.now() - started) / 1000).toFixed(0);
  console.log(
    `${run.name}: ${next - first} cases in ${seconds} s: ${counts.join(', ')}${found ? `; ${found} findings` : ''}`,
  );
}

type Line =
  | { finding: number; problem: string; file: string }
  | { next: number; outcomes: Readonly<Record<string, number>> };

/** Reads some cases; gives what was said of them, and how the process ended where not by itself. */
function runChild(run: Run, first: number): Promise<{ lines: Line[]; death: string | undefined }> {
  const { name, folder, until } = run;
  const end = Math.min(run.end, first + CHUNK);
  const script = fileURLToPath(new URL('./child.js', import.meta.url));
  rmSync(join(folder, 'case'), { force: true }); // an earlier process's, which would seem to hang while this one begins
  const child = spawn(
    process.execPath,
    [`--max-old-space-size=${CHILD_HEAP_MIB}`, script, name, folder, ...[args.seed, first, end, until].map(String)],
    { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, GGML_NO_BACKTRACE: '1' } },
  );
  const said = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream].setEncoding('utf8').on('data', (text: string) => {
      said[stream] += text;
    });
  }
  let hangs = false;
  let heard: string | undefined;
  const watch = setInterval(() => {
    const now = caseIn(folder);
    hangs = now !== undefined && now === heard;
    heard = now;
    if (hangs) child.kill('SIGKILL');
  }, SILENCE);
  return new Promise((resolve) => {
    child.on('close', (code, signal) => {
      clearInterval(watch);
      const lines = said.stdout.split('\n').filter((line) => line.startsWith('{'));
      const last = said.stderr.trim().split('\n').slice(0, 5).join(' | ');
      const death = hangs
        ? `hangs for ${SILENCE / 1000} s`
        : code === 0
          ? undefined
          : `ends by ${signal ?? code}: ${last}`;
      resolve({ lines: lines.map((line) => JSON.parse(line) as Line), death });
    });
  });
}

function caseIn(folder: string): string | undefined {
  try {
    return readFileSync(join(folder, 'case'), 'utf8');
  } catch {
    return undefined; // it has not begun
  }
}
