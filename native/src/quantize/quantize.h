// Quantizing for each instruction set: nothing inline is shared with it.
#pragma once
#include "fiddler_experts.h"

namespace fk {

// `blocks` blocks of Q4_K or Q5_K from floats, f16 or bf16; false where one of these is infinite or none.
typedef bool QuantizeRow(fk_type type, fk_type from_type, const void *from, void *to, int64_t blocks);

QuantizeRow quantize_portable, quantize_avx2, quantize_avx512;

} // namespace fk
