// Fails the n-th call of native code and of files, for every n, and checks what that leaves behind.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { prepareEnvironment } from '#fiddler/devices/environment.js';
import { loadEngine } from '#fiddler/engine/load.js';
import type { Workbench } from '#fiddler/engine/workbench.js';
import { FiddlerError } from '#fiddler/errors.js';
import { policyNamed } from '#fiddler/experts/policies/index.js';
import type { LoadOptions } from '#fiddler/options.js';
import type { TokenLogprob } from '#fiddler/report.js';
import { topLogprobs } from '#fiddler/sampling/logprobs.js';
import { EVEN } from './even-costs.js';
import { callsOf } from './fault-calls.js';
import { FaultInjection, held } from './fault-injection.js';
import { ratesFor, type StoredRates } from './fault-rates.js';
import { type GoldenCase, readGolden } from './golden-data.js';
import { compareLogits, toleranceOf } from './golden-logits.js';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

const { values: args } = parseArgs({
  options: {
    accelerator: { type: 'string', default: 'none' },
    model: { type: 'string', multiple: true, default: ['mixtral', 'switch'] },
    policy: { type: 'string', default: 'lanes' },
    'cpu-kernels': { type: 'string', default: 'auto' },
    /** Parts of a model's life to take; all by default. */
    part: { type: 'string', multiple: true },
    /** Of the calls every so many-th fails, from this one on: processes divide them. */
    every: { type: 'string', default: '1' },
    first: { type: 'string', default: '1' },
    /** From the n-th call on all fail. */
    always: { type: 'boolean', default: false },
  },
});

const [EVERY, FIRST] = [Number(args.every), Number(args.first)];
/** A load that measures makes as many calls as there is time for, nearly all in its repetitions: of these fewer fail. */
const EVERY_MEASURING = 53;
/** Tokens of a golden text that are computed. */
const TOKENS = 6;
/** Graphs that are kept later, for other numbers of experts: what is resident changes. A leak of each case is soon more. */
const OTHER_GRAPHS = 24;
const never = () => false;

const options: LoadOptions = {
  accelerator: args.accelerator as LoadOptions['accelerator'],
  policy: args.policy,
  cpuKernels: args['cpu-kernels'] as LoadOptions['cpuKernels'],
  dtype: 'f32',
  expertsResident: 0.5,
  expertCache: 100_000,
  prefetch: true,
  rebalance: args.accelerator !== 'none',
  threads: 1,
  ctx: 64,
  sequences: 2,
  profile: false,
};

const faults = new FaultInjection();
const CALLS = callsOf(faults);

/** One model with what it must answer. */
interface Subject {
  name: string;
  golden: GoldenCase;
  /** Standard deviation of its logits. */
  deviation: number;
  rates: StoredRates;
  load(): Workbench;
}

function subjectOf(name: string): Subject {
  const { dir, deviation, cases } = readGolden(join(root, 'test', 'golden'), join(root, 'models'), name);
  const { source, ...all } = cases[0]!;
  const vocabulary = all.logits.length / all.tokens.length;
  const golden = source
    ? { ...all, source }
    : { ...all, tokens: all.tokens.slice(0, TOKENS), logits: all.logits.subarray(0, TOKENS * vocabulary) };
  const load = () => {
    const session = loadEngine(dir, {
      ...options,
      onProgress: faults.callback('onProgress'),
      throwIfEnded: faults.callback('throwIfEnded'),
    });
    if (args.policy === 'lanes') session.use(policyNamed('lanes'), EVEN); // all lanes, and experts divided over them
    return session;
  };
  return { name, golden, deviation, rates: ratesFor(dir, options), load };
}

/** What is wrong with a model's answers: first behind what the KV cache holds, if anything, then from nothing. */
function wrong(session: Workbench, { golden, deviation }: Subject): string[] {
  const { tokens, source, logits } = golden;
  const last = logits.subarray(-logits.length / tokens.length);
  const [likeliest] = topLogprobs(source ? logits.subarray(0, last.length) : last, 1);
  const found: TokenLogprob[] = [];
  const first = { temperature: 0, maxTokens: 1, logprobs: 1 };
  session.generate(source ?? tokens, first, (_, top) => found.push(...top!) < 0, never);
  const { problems } = compareLogits(session, golden, toleranceOf(deviation, args.accelerator, 'f32'));
  const off = Math.abs(found[0]!.logprob - likeliest!.logprob);
  if (found[0]!.token !== likeliest!.token || !(off <= 2e-3 * Math.max(1, deviation))) {
    problems.push(`behind what was there it says ${JSON.stringify(found[0])} in place of ${JSON.stringify(likeliest)}`);
  }
  return problems;
}

const problems: string[] = [];
let cases = 0;
let closed = 0;

function wanted(part: string): boolean {
  return args.part === undefined || args.part.includes(part);
}

/** Every part of a model's life. */
function inject(subject: Subject): void {
  const before = held();
  if (wanted('loading')) sweep(subject, 'loading', (n) => loading(subject, n, 'remember'));
  if (wanted('measuring')) sweep(subject, 'measuring', (n) => loading(subject, n, 'forget'), EVERY * EVERY_MEASURING);
  for (const [part, call] of Object.entries(CALLS)) {
    if (!wanted(part)) continue;
    const life = new Life(subject);
    sweep(subject, part, (n) => life.fail(call, n));
    life.end();
  }
  if (wanted('closing')) sweep(subject, 'closing', (n) => closing(subject, n));
  for (const [what, count] of Object.entries(held())) {
    if (count > (before[what] ?? 0)) note(subject.name, `${what}: ${before[what] ?? 0} before, ${count} after`);
  }
}

/** Fails one call after the other, until so many are made that none fails. */
function sweep(subject: Subject, part: string, failAt: (n: number) => string[], every = EVERY): void {
  const begin = cases;
  const start = performance.now();
  let silent = 0;
  for (let n = FIRST; ; n += every) {
    const found = failAt(n);
    if (faults.hit === undefined) break;
    cases++;
    for (const problem of found) note(`${subject.name} ${part}, call ${n} (${faults.hit})`, problem);
    // A model that measures itself makes as many calls as there is time for.
    if (part === 'warmUp' && ++silent * EVERY > 2000) break;
  }
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`${args.accelerator} ${subject.name} ${part}: ${cases - begin} cases, ${seconds} s`);
}

function note(where: string, problem: string): void {
  problems.push(problem);
  console.log(`FAIL ${where}: ${problem}`);
}

/** Runs what must throw a FiddlerError of one line, or have come through all the same. @returns problems */
function thrownBy(n: number, run: () => void): { error?: FiddlerError; problems: string[] } {
  try {
    faults.during(n, args.always, run);
    return { problems: [] };
  } catch (error) {
    if (!(error instanceof FiddlerError)) return { problems: [`no error of ours: ${(error as Error).stack}`] };
    return { error, problems: error.message.includes('\n') ? [`more than one line: ${error.message}`] : [] };
  }
}

function leaks(most: number): string[] {
  return faults.count > most ? [`native objects beyond ${most}: ${JSON.stringify(faults.alive)}`] : [];
}

function loading(subject: Subject, n: number, rates: keyof StoredRates): string[] {
  let session: Workbench | undefined;
  subject.rates[rates]();
  const { error, problems: found } = thrownBy(n, () => {
    session = subject.load();
  });
  const { hit } = faults;
  if (session) {
    found.push(...wrong(session, subject));
    session.close();
  } else if (!error) found.push('it gave neither a model nor an error');
  found.push(...leaks(0));
  if ((n - FIRST) % (10 * EVERY) === 0) {
    subject.rates.remember();
    const again = subject.load();
    found.push(...wrong(again, subject));
    again.close();
  }
  faults.hit = hit;
  return found;
}

function closing(subject: Subject, n: number): string[] {
  subject.rates.remember();
  const session = subject.load();
  const found = wrong(session, subject);
  found.push(...thrownBy(n, () => session.close()).problems, ...leaks(0));
  try {
    session.score([1, 2], 0, () => {}, never);
    found.push('it answers though it is closed');
  } catch (error) {
    if ((error as FiddlerError).code !== 'usage' && (error as FiddlerError).code !== 'unsupported')
      found.push(String(error));
  }
  return found;
}

/** One model in which call after call fails. */
class Life {
  private session: Workbench;
  /** Native objects that it has when all graphs of its answers were built. */
  private steady = 0;

  constructor(private readonly subject: Subject) {
    this.session = this.begin();
  }

  private begin(): Workbench {
    this.subject.rates.remember();
    const session = this.subject.load();
    for (const call of Object.values(CALLS)) {
      call(session, this.subject.golden);
      wrong(session, this.subject);
      this.steady = Math.max(this.steady, faults.count);
    }
    return session;
  }

  fail(call: (session: Workbench, golden: GoldenCase) => unknown, n: number): string[] {
    const { problems: found } = thrownBy(n, () => call(this.session, this.subject.golden));
    const { hit } = faults;
    try {
      found.push(...wrong(this.session, this.subject), ...leaks(this.steady + OTHER_GRAPHS));
    } catch (error) {
      found.push(...this.dead(error));
    }
    faults.hit = hit;
    return found;
  }

  /** A model that could not be made ready again says so at every call, and has freed everything. */
  private dead(error: unknown): string[] {
    closed++;
    const found = leaks(0);
    for (const reason of [error, thrownBy(Number.POSITIVE_INFINITY, () => this.session.warmUp()).error]) {
      const { code, problem } = (reason ?? {}) as FiddlerError;
      if (code !== 'device' || !problem.includes('was closed'))
        found.push(`it should say that it is closed: ${reason}`);
    }
    this.session = this.begin();
    return found;
  }

  end(): void {
    this.session.close();
    for (const problem of leaks(0)) note(`${this.subject.name}, closed`, problem);
  }
}

console.log(
  `on ${args.accelerator}, of the calls ${EVERY === 1 ? 'each' : `every ${EVERY}th`} fails${args.always ? ' with all behind it' : ''}`,
);
const temporary = mkdtempSync(join(tmpdir(), 'fiddler-faults-'));
process.env.FIDDLER_CACHE = temporary;
prepareEnvironment(options);
const subjects = args.model.map(subjectOf);
for (const subject of subjects) subject.load().close(); // all is bound
faults.watch();
for (const subject of subjects) inject(subject);
rmSync(temporary, { recursive: true });
console.log(`${cases} cases, ${closed} of which closed the model; ${problems.length} problems`);
if (cases === 0 || problems.length > 0) process.exitCode = 1;
