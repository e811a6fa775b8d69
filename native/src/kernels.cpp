#include "kernel.h"

#include "cpu.h"

namespace fk {
namespace {

#ifdef FK_HAVE_AMX_BF16
const Kernel kAmxBf16 = {"amx-bf16", has_amx_bf16, true, {kAmxBf16Fast, kAvx512Full}, &kAvx512Common, quantize_avx512};
#endif
#ifdef FK_HAVE_AVX512_BF16
const Kernel kAvx512Bf16 = {"avx512-bf16", has_avx512_bf16, true, {kAvx512Bf16Fast, kAvx512Full}, &kAvx512Common, quantize_avx512};
#endif
#ifdef FK_HAVE_AVX512_VNNI
const Kernel kAvx512Vnni = {"avx512-vnni", has_avx512_vnni, true, {kAvx512VnniFast, kAvx512Full}, &kAvx512Common, quantize_avx512};
#endif
#ifdef FK_HAVE_AVX512
const Kernel kAvx512 = {"avx512", has_avx512, true, {kAvx512Fast, kAvx512Full}, &kAvx512Common, quantize_avx512};
#endif
#ifdef FK_HAVE_AVX2
const Kernel kAvx2 = {"avx2", has_avx2, true, {kAvx2Fast, kAvx2Full}, &kAvx2Common, quantize_avx2};
#endif
const Kernel kPortable = {"portable", always, true, {kPortableFast, kPortableFull}, &kPortableCommon, quantize_portable};
const Kernel kAmxEmulated = {"amx-emulated", always, false, {kAmxEmulatedFast, kPortableFull}, &kPortableCommon, quantize_portable};

} // namespace

const Kernel *const kKernels[] = {
#ifdef FK_HAVE_AMX_BF16
    &kAmxBf16,
#endif
#ifdef FK_HAVE_AVX512_BF16
    &kAvx512Bf16,
#endif
#ifdef FK_HAVE_AVX512_VNNI
    &kAvx512Vnni,
#endif
#ifdef FK_HAVE_AVX512
    &kAvx512,
#endif
#ifdef FK_HAVE_AVX2
    &kAvx2,
#endif
    &kPortable,
    &kAmxEmulated,
    nullptr,
};

} // namespace fk
