// Memory that grows on demand, page-aligned, in huge pages where the system has them.
#pragma once
#include <cstddef>
#include <cstring>
#include <new>
#include <sys/mman.h>

namespace fk {

class Buffer {
public:
  Buffer() = default;
  Buffer(const Buffer &) = delete;
  Buffer &operator=(const Buffer &) = delete;
  ~Buffer() { release(); }

  // At least `bytes`; what was there before is lost. Throws std::bad_alloc.
  void *reserve(size_t bytes) {
    if (bytes <= bytes_) return data_;
    release();
    constexpr size_t kHuge = size_t(2) << 20;
    const size_t rounded = (bytes + bytes / 4 + kHuge - 1) / kHuge * kHuge;
    void *data = mmap(nullptr, rounded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
    madvise(data, rounded, MADV_HUGEPAGE);
#endif
    data_ = data;
    bytes_ = rounded;
    return data_;
  }

  void fill(int byte) {
    if (data_) std::memset(data_, byte, bytes_);
  }

private:
  void release() {
    if (data_) munmap(data_, bytes_);
    data_ = nullptr;
    bytes_ = 0;
  }

  void *data_ = nullptr;
  size_t bytes_ = 0;
};

} // namespace fk
