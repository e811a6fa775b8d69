import koffi from 'koffi';

/** From Linux's <sys/prctl.h> and <signal.h>. */
const PR_SET_PDEATHSIG = 1;
const SIGKILL = 9;

/** This process ends when the one that started it does, however that ended; on Linux only. */
export function endWithParent(): void {
  if (process.platform !== 'linux') return;
  koffi.load(null).func('prctl', 'int', ['int', 'ulong'])(PR_SET_PDEATHSIG, SIGKILL);
}
