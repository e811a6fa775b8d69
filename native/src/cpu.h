#pragma once

namespace fk {

// Whether the CPU has a kernel's instructions and the operating system keeps their registers.
bool has_avx2();
bool has_avx512();
bool has_avx512_vnni();
bool has_avx512_bf16();
bool has_amx_bf16(); // asks the kernel for the tiles' state once, for all threads
bool always();

} // namespace fk
