import { type Link, Linked } from '../linked.js';

let current: Resources | undefined;

/** Native objects that end together: those that were made while `during` ran, and not freed since. */
export class Resources {
  private readonly held = new Linked<() => void>();

  /** What `run` makes belongs here, but for what belongs to others whose `during` it calls. */
  during<T>(run: () => T): T {
    const before = current;
    current = this;
    try {
      return run();
    } finally {
      current = before;
    }
  }

  /** How many there are. */
  get count(): number {
    return this.held.size;
  }

  hold(end: () => void): Link<() => void> {
    return this.held.add(end);
  }

  /** What `hold` gave. */
  release(held: Link<() => void>): void {
    this.held.remove(held);
  }

  /** Frees all, the newest first, whatever fails. @throws what failed first */
  free(): void {
    let failure: { error: unknown } | undefined;
    for (const end of [...this.held].reverse()) {
      try {
        end();
      } catch (error) {
        failure ??= { error };
      }
    }
    if (failure) throw failure.error;
  }
}

/** Notes a native object that was just made, and how it is freed. @returns frees it, at the first call only */
export function hold(free: () => void): () => void {
  const owner = current;
  let freed = false;
  const end = () => {
    if (freed) return;
    freed = true;
    if (held) owner!.release(held);
    free();
  };
  const held = owner?.hold(end);
  return end;
}
