import fs, { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { boundCalls } from '#fiddler/native/calls.js';

type Call = (...args: unknown[]) => unknown;

/** What makes a native object and gives its address. */
const MAKERS = [
  'init',
  'allocatorNew',
  'allocTensors',
  'bufferFromPointer',
  'deviceInit',
  'eventNew',
  'threadsNew',
  'poolCreate',
];

/** What a call answers that fails: as its C function does where it can say so. Every other one throws. */
const ANSWERS: Readonly<Record<string, unknown>> = {
  ...Object.fromEntries(MAKERS.map((name) => [name, null])),
  allocatorReserve: false,
  allocatorAlloc: false,
  register: false,
  compute: -1,
  computeAsync: -2,
  tensorAlloc: -2,
  run: -2,
  start: -2,
  wait: -1,
  mmap: 0xffff_ffff_ffff_ffffn,
  munmap: -1,
  mprotect: -1,
  madvise: -1,
};

/** What frees cannot fail: the argument that names the object. */
const ENDS: Readonly<Record<string, number>> = {
  free: 0,
  allocatorFree: 0,
  bufferFree: 0,
  backendFree: 0,
  eventFree: 0,
  poolFree: 0,
  threadsFree: 1,
  unregister: 1,
};

/** What is read and written of files. */
const FILES = [
  'readFileSync',
  'openSync',
  'statSync',
  'readdirSync',
  'writeFileSync',
  'mkdirSync',
  'renameSync',
] as const;

/** Makes calls of native code and of the file system fail, and knows what these left behind. */
export class FaultInjection {
  /** Name of the call that failed. */
  hit?: string;
  /** Calls that could have failed. */
  calls = 0;
  private at = 0;
  private always = false;
  private armed = false;
  private readonly live = new Map<string, string>();

  /** A function of a caller's, which throws in its turn and gives false else. */
  callback(name: string): () => boolean {
    return () => {
      if (this.fails(name)) throw new Error(`${name} failed`);
      return false;
    };
  }

  /** All that was bound so far is watched from now on; nothing native may be alive. */
  watch(): void {
    for (const { calls } of boundCalls()) {
      for (const [name, call] of Object.entries(calls)) calls[name] = this.watched(name, call);
    }
    const files = fs as unknown as Record<string, Call>;
    for (const name of FILES) {
      const call = files[name]!;
      files[name] = (...args) => {
        if (this.fails(name)) throw Object.assign(new Error(`EIO: i/o error, ${name}`), { code: 'EIO', syscall: name });
        return call(...args);
      };
    }
    syncBuiltinESMExports();
  }

  /** Runs `run`, in which the n-th call fails, and with `always` all that follow. */
  during<T>(n: number, always: boolean, run: () => T): T {
    Object.assign(this, { at: n, always, armed: true, calls: 0, hit: undefined });
    try {
      return run();
    } finally {
      this.armed = false;
    }
  }

  /** Native objects that were made and not freed, by kind. */
  get alive(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const kind of this.live.values()) counts[kind] = (counts[kind] ?? 0) + 1;
    return counts;
  }

  get count(): number {
    return this.live.size;
  }

  private fails(name: string): boolean {
    if (!this.armed) return false;
    this.calls++;
    const fails = this.always ? this.calls >= this.at : this.calls === this.at;
    if (fails) this.hit ??= name;
    return fails;
  }

  private watched(name: string, call: Call): Call {
    const end = ENDS[name];
    if (end !== undefined) {
      return (...args) => {
        this.live.delete(name === 'unregister' ? `pinned ${args[end]}` : String(args[end]));
        return call(...args);
      };
    }
    return (...args) => {
      if (this.fails(name)) {
        if (name === 'munmap') this.unmap(call, args); // what the system keeps is no leak of ours
        if (name in ANSWERS) return ANSWERS[name];
        throw new TypeError(`${name} failed`);
      }
      if (name === 'munmap') return this.unmap(call, args);
      const result = call(...args);
      if (MAKERS.includes(name) || name === 'mmap') this.live.set(String(result), name);
      if (name === 'register' && result) this.live.set(`pinned ${args[1]}`, name);
      return result;
    };
  }

  private unmap(call: Call, args: unknown[]): unknown {
    this.live.delete(String(args[0]));
    return call(...args);
  }
}

/** What this process holds of the system: file descriptors by what they are of, threads, and mapped files. */
export function held(): Record<string, number> {
  const counts: Record<string, number> = { threads: readdirSync('/proc/self/task').length };
  const add = (what: string) => {
    counts[what] = (counts[what] ?? 0) + 1;
  };
  for (const descriptor of readdirSync('/proc/self/fd')) {
    const path = `/proc/self/fd/${descriptor}`;
    if (existsSync(path)) add(`descriptors of ${readlinkSync(path).replace(/:.*/, '')}`); // one was of that folder itself
  }
  const maps = readFileSync('/proc/self/maps', 'utf8').split('\n');
  for (const line of maps) if (/\.(safetensors|gguf)$/.test(line)) add('mapped files');
  return counts;
}
