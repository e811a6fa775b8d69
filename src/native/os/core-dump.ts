import koffi from 'koffi';

/** RLIMIT_CORE of Linux and macOS. */
const RLIMIT_CORE = 4;

/** An abort of this process leaves no core file behind. */
export function withoutCoreDumps(): void {
  if (process.platform === 'win32') return;
  const setrlimit = koffi.load(null).func('setrlimit', 'int', ['int', 'void *']);
  setrlimit(RLIMIT_CORE, new BigUint64Array(2)); // struct rlimit: soft and hard limit in bytes
}
