// An engine thread whose engine computes nothing: what it does is chosen by the first prompt token. Run by
// engine-thread.test.ts; it takes the built `serve`, since Node runs no TypeScript in threads.
import { parentPort } from 'node:worker_threads';
import { FiddlerError } from '../../dist/errors.js';
import { serve } from '../../dist/thread/serve.js';

const sleep = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

/** What a call of the model does, and why a generation ends with it, if it does. */
const behaviours = {
  /** Gives the whole prompt back. */
  0: (prompt, options, onToken) => {
    for (const token of prompt) onToken(token, options.logprobs ? [{ token, logprob: 0 }] : undefined);
    return 'length';
  },
  /** Generates until it is cancelled. */
  1: (_prompt, _options, onToken, cancelled) => {
    onToken(0);
    sleep(2);
    return cancelled() ? 'aborted' : undefined;
  },
  2: () => {
    throw new FiddlerError('numeric', 'the logits are not numbers', 'use other weights');
  },
  3: () => {
    throw new TypeError('a mistake');
  },
  /** The thread dies. */
  4: () => process.exit(7),
};

serve(parentPort, (dir, { onProgress, onWarning, ...options }) => {
  onWarning(`loading ${dir} with ${JSON.stringify(options)}`);
  for (let done = 0; dir === 'endless' || done < 3; done++) {
    onProgress(done, 3);
    sleep(2);
  }
  const queue = [];
  return {
    info: { name: dir },
    endTokens: new Set([2]),
    warmUp: () => {
      if (dir === 'cold') throw new FiddlerError('memory', 'no memory to compute', 'use less');
    },
    begin: ({ prompt, options, onToken, cancelled }, onEnd) => {
      const step = () => {
        try {
          const finish = behaviours[prompt[0]](prompt, options, onToken, cancelled);
          if (finish) onEnd({ report: { finish, promptTokens: prompt.length } });
          else queue.unshift(step);
        } catch (error) {
          onEnd({ error: FiddlerError.of(error) });
        }
      };
      queue.push(step);
    },
    whenFree: (work) => queue.push(work),
    advance: () => {
      queue.shift()?.();
      return queue.length > 0;
    },
    score: (tokens, logprobs, onToken) => {
      tokens.forEach((token, position) => onToken({ position, token, logprob: -logprobs }));
      return { promptTokens: tokens.length };
    },
    close: () => {
      process.env.FAKE_CLOSED = 'yes';
      if (dir === 'stuck') throw new Error('it cannot be freed');
    },
  };
});
