#include "cpu.h"

#include <cstdint>
#ifdef __x86_64__
#include <cpuid.h>
#endif
#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace fk {

bool always() { return true; }

#ifdef __x86_64__
namespace {

struct Leaf {
  unsigned a = 0, b = 0, c = 0, d = 0;
  Leaf(unsigned leaf, unsigned subleaf) {
    if (!__get_cpuid_count(leaf, subleaf, &a, &b, &c, &d)) a = b = c = d = 0;
  }
};

bool bit(unsigned word, int n) { return word >> n & 1; }

// XCR0: which registers the operating system saves (Intel SDM volume 1, 13.3).
uint64_t saved_registers() {
  if (!bit(Leaf(1, 0).c, 27)) return 0; // OSXSAVE
  uint32_t low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t(high) << 32 | low;
}
constexpr uint64_t kYmm = 0x6, kZmm = 0xe6, kTiles = 0x60000;

bool saves(uint64_t registers) { return (saved_registers() & registers) == registers; }

bool tiles_permitted() {
#ifdef __linux__
  constexpr long kRequestPermission = 0x1023, kTileData = 18; // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

} // namespace

bool has_avx2() {
  const Leaf one(1, 0), seven(7, 0);
  return saves(kYmm) && bit(one.c, 12) && bit(one.c, 29) && bit(seven.b, 5); // FMA, F16C, AVX2
}

bool has_avx512() {
  const Leaf seven(7, 0);
  return has_avx2() && saves(kZmm) && bit(seven.b, 16) && bit(seven.b, 17) && bit(seven.b, 30) &&
         bit(seven.b, 31); // F, DQ, BW, VL
}

bool has_avx512_vnni() { return has_avx512() && bit(Leaf(7, 0).c, 11); }

bool has_avx512_bf16() {
  const Leaf seven(7, 0);
  return has_avx512_vnni() && bit(Leaf(7, 1).a, 5) && bit(seven.c, 1) && bit(seven.c, 8) &&
         bit(seven.b, 8); // VBMI, GFNI, BMI2
}

bool has_amx_bf16() {
  const Leaf seven(7, 0);
  if (!has_avx512_bf16() || !saves(kTiles) || !bit(seven.d, 22) || !bit(seven.d, 24) ||
      !bit(seven.d, 25)) // AMX-BF16, AMX-TILE, AMX-INT8
    return false;
  static const bool permitted = tiles_permitted();
  return permitted;
}
#else
bool has_avx2() { return false; }
bool has_avx512() { return false; }
bool has_avx512_vnni() { return false; }
bool has_avx512_bf16() { return false; }
bool has_amx_bf16() { return false; }
#endif

} // namespace fk
