import koffi from 'koffi';

/** M_MMAP_THRESHOLD of glibc's malloc.h. */
const MMAP_THRESHOLD = -3;
/** Allocations of so many bytes and more are mapped by themselves. */
const MAPPED_FROM = 256 * 1024;

/**
 * Has the C library give every large allocation back to the system when it is freed. glibc before 2.38 does not reuse what
 * was allocated with an alignment (its bug 14581), as ggml's buffers are: each model that was loaded and closed left most
 * of its smaller ones behind. Other C libraries do without.
 */
export function mapLargeAllocations(): void {
  if (process.platform !== 'linux') return;
  const libc = koffi.load(null);
  try {
    libc.func('int mallopt(int parameter, int value)')(MMAP_THRESHOLD, MAPPED_FROM);
  } catch {
    // musl has no mallopt, nor that fault
  }
}
