import { readdirSync, readFileSync } from 'node:fs';
import { usableCpus } from './cores.js';

/** Milliseconds for which a process's threads ran, and for which they could have run while others had their cores. */
export interface CoreTime {
  ran: number;
  waited: number;
}

const TASKS = '/proc/self/task';
/** What another thread takes of a core before it is given back, in milliseconds: a tick of Linux's scheduler. */
const TICK = 4;

/** Of each thread of this process, by Linux's /proc/…/schedstat: nanoseconds on a core, and in a queue for one. */
function byThread(): Map<string, CoreTime> | undefined {
  try {
    const threads = new Map<string, CoreTime>();
    for (const id of readdirSync(TASKS)) {
      const fields = readThread(id)?.split(' ').map(Number);
      if (fields) threads.set(id, { ran: fields[0]! / 1e6, waited: fields[1]! / 1e6 });
    }
    return threads.size > 0 ? threads : undefined;
  } catch {
    return undefined;
  }
}

function readThread(id: string): string | undefined {
  try {
    return readFileSync(`${TASKS}/${id}/schedstat`, 'utf8');
  } catch {
    return undefined; // it ended, or this kernel counts nothing
  }
}

/** Of the whole process, where its threads are not told apart: each core that was taken away was away for a tick. */
function ofProcess(): CoreTime {
  const { user, system } = process.cpuUsage();
  return { ran: (user + system) / 1000, waited: process.resourceUsage().involuntaryContextSwitches * TICK };
}

/** Watches from when it is made how much others take of the cores on which this process computes. */
export class CoreWatch {
  private readonly begin = performance.now();
  private readonly threads = byThread();
  private readonly process = ofProcess();

  /** Share of the time for which this process's threads could have run in which others had their cores, from 0 to 1. */
  get lost(): number {
    const now = this.threads && byThread();
    const room = usableCpus() * (performance.now() - this.begin);
    if (!now) return lostShare([since(ofProcess(), this.process)], room);
    return lostShare(
      [...now].map(([id, time]) => since(time, this.threads!.get(id))),
      room,
    );
  }
}

function since(now: CoreTime, then: CoreTime = { ran: 0, waited: 0 }): CoreTime {
  return { ran: now.ran - then.ran, waited: now.waited - then.waited };
}

/**
 * Threads of one process wait for each other too: others had what it waited for, but no more than it left of its cores.
 * @param room milliseconds of all cores that it may use
 */
export function lostShare(threads: readonly CoreTime[], room = Number.POSITIVE_INFINITY): number {
  const ran = threads.reduce((sum, thread) => sum + thread.ran, 0);
  const waited = threads.reduce((sum, thread) => sum + thread.waited, 0);
  const lost = Math.min(waited, Math.max(0, room - ran));
  return lost > 0 ? lost / (ran + lost) : 0;
}
