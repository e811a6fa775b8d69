import { FiddlerError } from '../errors.js';
import { CACHE_POLICIES } from '../experts/caches/index.js';
import { MOST_DECODED, type Replayed, replay, usesOf } from '../experts/replay.js';
import { type TracedCall, type TracedModel, TraceReader } from '../experts/trace.js';
import { linesOf } from './batch-files.js';

/** Share of the experts that lie on the accelerator by default. */
const SHARE = 0.25;
/** Bytes of a line, at most. */
const LONGEST_LINE = 1 << 28;

/** Prints how each rule would have done with what was chosen. @throws FiddlerError `file` */
export async function replayTrace(
  path: string,
  { expertsResident = SHARE, json }: { expertsResident?: number; json?: boolean },
): Promise<void> {
  const { model, calls } = await readTrace(path);
  const { uses, tokens } = usesOf(model, calls);
  if (tokens === 0)
    throw new FiddlerError('file', `${path} has no decoded tokens`, 'record more: prompts are left out');
  const { layers } = model;
  const total = layers.reduce((sum, { count }) => sum + count, 0);
  const slots = Math.round(expertsResident * total);
  const found = CACHE_POLICIES.map((policy) => replay(policy, slots, uses, layers));
  if (json) process.stdout.write(`${JSON.stringify({ model: model.model, slots, total, tokens, replayed: found })}\n`);
  else {
    const chosen = layers.reduce((sum, { chosen }) => sum + chosen, 0);
    const head = `${model.model}: ${slots} of ${total} experts resident, ${tokens} tokens of ${chosen} uses each`;
    process.stdout.write(`${head}\n\n${found.map((each) => row(each, tokens)).join('')}`);
  }
}

function row({ policy, uses, misses, copies }: Replayed, tokens: number): string {
  const summary = CACHE_POLICIES.find(({ name }) => name === policy)!.summary;
  const a = (n: number) => (n / tokens).toFixed(2).padStart(8);
  const share = `${((100 * misses) / uses).toFixed(1)}%`.padStart(6);
  return `${policy.padEnd(12)}${a(misses)} misses a token (${share}),${a(copies)} copies   ${summary}\n`;
}

async function readTrace(path: string): Promise<{ model: TracedModel; calls: TracedCall[] }> {
  const reader = new TraceReader(path);
  const calls: TracedCall[] = [];
  for await (const { text = '' } of linesOf(path, LONGEST_LINE)) {
    const call = reader.read(text);
    if (call && call.tokens <= MOST_DECODED) calls.push(call); // of long prompts each would take megabytes
  }
  if (!reader.model) throw new FiddlerError('file', `${path} is empty`, 'record it with `fiddler run --trace FILE`');
  return { model: reader.model, calls };
}
