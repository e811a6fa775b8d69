import { type Api, api } from '#fiddler/native/ggml/api.js';

/** Time spent in native calls since timing began. */
export interface NativeTime {
  milliseconds: number;
  calls: number;
}

/**
 * Wraps every function of ggml with a timer, for the rest of the process. What a timer itself takes, about 0.1 µs a
 * call, counts as time outside native calls.
 */
export function timeNativeCalls(): NativeTime {
  const spent: NativeTime = { milliseconds: 0, calls: 0 };
  const functions = api();
  for (const [name, call] of Object.entries(functions) as [keyof Api, Api[keyof Api]][]) {
    functions[name] = (...args) => {
      const begin = performance.now();
      try {
        return call(...args);
      } finally {
        spent.milliseconds += performance.now() - begin;
        spent.calls++;
      }
    };
  }
  return spent;
}
