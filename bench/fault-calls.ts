import type { Workbench } from '#fiddler/engine/workbench.js';
import type { FiddlerError } from '#fiddler/errors.js';
import type { FaultInjection } from './fault-injection.js';
import type { GoldenCase } from './golden-data.js';

type Call = (session: Workbench, golden: GoldenCase) => unknown;

/** Tokens by which a text is continued. */
const CONTINUED = 3;

/** What is done with a loaded model while a call fails, by its part's name; functions of the caller's fail as any other. */
export function callsOf(faults: FaultInjection): Readonly<Record<string, Call>> {
  const [onToken, cancelled] = [faults.callback('onToken'), faults.callback('cancelled')];
  const [onLogits, onProgress] = [faults.callback('onLogits'), faults.callback('onProgress')];
  return {
    warmUp: (session) => session.warmUp(),
    prefill: (session, { tokens, source }) => session.evaluate(tokens, cancelled, onLogits, source),
    decode: (session, { tokens, source }) =>
      session.generate(source ?? [...tokens, 9], { maxTokens: CONTINUED, seed: 1 }, onToken, cancelled),
    encode: (session, { source }) =>
      source && session.generate([...source].reverse(), { maxTokens: 1 }, onToken, cancelled),
    score: (session, { tokens, source }) => source || session.score(tokens, 2, onToken, cancelled),
    profile: (session, { tokens }) => session.profile([tokens, tokens.slice(1)], onProgress, cancelled),
    together: (session, { tokens, source = tokens }) =>
      together(session, [source, [...source].reverse()], { onToken, cancelled }),
    leaving: (session, { tokens, source = tokens }) => {
      let asked = 0;
      const leaves = () => cancelled() || ++asked > 1;
      together(session, [source, [...source].reverse()], { onToken, cancelled }, leaves);
    },
    exchange: (session) => session.exchangeExperts(0),
  };
}

/** Generates behind several prompts at once, of which the first may leave. */
function together(
  session: Workbench,
  prompts: readonly (readonly number[])[],
  caller: { onToken: () => boolean; cancelled: () => boolean },
  leaves = caller.cancelled,
): void {
  const errors: FiddlerError[] = [];
  let left = prompts.length;
  for (const [i, prompt] of prompts.entries()) {
    const question = { prompt, options: { maxTokens: CONTINUED + i, seed: 1 }, ...caller };
    session.begin(i === 0 ? { ...question, cancelled: leaves } : question, (outcome) => {
      left--;
      if ('error' in outcome) errors.push(outcome.error);
    });
  }
  while (session.advance());
  if (left > 0) throw new Error(`${left} of ${prompts.length} answers did not end`);
  if (errors.length > 0) throw errors[0];
}
