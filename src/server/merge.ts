/**
 * The items of several sources as they come, each with the number of its source and `done` with what a source returned.
 * Where the reader leaves or a source fails, all are ended.
 */
export async function* merge<T, R>(
  sources: readonly AsyncGenerator<T, R>[],
): AsyncGenerator<{ index: number; item: T } | { index: number; done: R }> {
  const next = (index: number) => {
    const coming = sources[index]!.next().then((result) => ({ index, result }));
    coming.catch(() => {}); // it may fail while the reader is busy, who hears of it later
    return coming;
  };
  const pending = new Map(sources.map((_, index) => [index, next(index)]));
  try {
    while (pending.size > 0) {
      const { index, result } = await Promise.race(pending.values());
      if (result.done) pending.delete(index);
      else pending.set(index, next(index));
      yield result.done ? { index, done: result.value } : { index, item: result.value };
    }
  } finally {
    for (const source of sources) void source.return(undefined as R).catch(() => {});
  }
}
