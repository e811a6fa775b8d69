#!/usr/bin/env bash
# All CPU kernels on a machine that has nothing installed: whether they are right, and how fast beside a plain read and
# beside ggml. About three minutes. First, where there is a compiler: node native/build.mjs --bench
# Usage: bench/kernels-host.sh [FOLDER of ggml's libraries]   (native/build/check and native/build/speed are run)
set -u
cd "$(dirname "$0")/.."
ggml=${1:-node_modules/@node-llama-cpp/linux-x64/bins/linux-x64}
cores=$(nproc)
work=$((cores > 8 ? cores - 1 : cores)) # as many threads as the engine would take
# ggml's threads sleep between graphs: spinning ones keep the cores from ours.
speed() { timeout "$1" native/build/speed --poll 0 "${@:2}" 2>/dev/null; }

grep -m1 'model name' /proc/cpuinfo
lscpu | grep -E 'Thread|Core|L2|L3|NUMA node\(s\)'
echo "== right?"
timeout 60 native/build/check 42

echo "== n tokens an expert, experts of 2048 x 768, all types ($work threads)"
speed 60 --threads $work --tokens 1,2,4,8,16 --rounds 5 --megabytes 700 --ggml "$ggml" \
  --types Q8_0,Q4_K,Q6_K,IQ4_XS,MXFP4
speed 40 --threads $work --tokens 1,4,8 --rounds 3 --megabytes 500 --ggml "$ggml" \
  --types Q4_0,Q4_1,Q5_0,Q5_1,Q2_K,Q3_K,Q5_K,IQ2_XXS,IQ2_XS,IQ3_XXS,IQ3_S,IQ4_NL,NVFP4,BF16
echo "== many tokens, without ggml"
speed 30 --threads $work --tokens 64,512 --rounds 3 --megabytes 200 --hidden 2048 --ff 1536 --experts 4 \
  --types BF16,Q8_0,Q4_K,Q6_K,IQ4_XS,MXFP4,Q5_K,Q3_K,IQ3_S
echo "== one thread"
speed 20 --threads 1 --tokens 1 --rounds 3 --megabytes 200 --ggml "$ggml" --types Q8_0,Q4_K,Q6_K,MXFP4

echo "== the CPU library that ggml takes here"
timeout 20 native/build/speed --types MXFP4 --tokens 1 --rounds 1 --megabytes 20 --threads 1 --ggml "$ggml" 2>&1 >/dev/null | grep -i loaded

echo "== why ggml is slow with MXFP4: one change a line, experts of 2880 x 2880, 4 a call"
mx() {
  printf '%-34s' "$1"
  speed 12 --types MXFP4 --tokens 1 --hidden 2880 --ff 2880 --experts 4 --megabytes 320 --rounds 3 --ggml "$ggml" "${@:2}" |
    tail -1
}
mx "as above" --threads $work
mx "one thread" --threads 1
mx "all cores" --threads "$cores"
mx "threads spin between graphs" --threads $work --poll 100
mx "weights in a mapped file" --threads $work --file "${TMPDIR:-/tmp}/weights-$$"
mx "the same, one thread" --threads 1 --file "${TMPDIR:-/tmp}/weights-$$"
mx "no huge pages" --threads $work --huge 0
mx "scales of 2^-127" --threads $work --scale 0
mx "the same, one thread" --threads 1 --scale 0
mx "scales of 2^-126" --threads $work --scale 1
mx "tokens of 1e-30" --threads $work --x 1e-30
mx "tokens of 1e-40 (denormal)" --threads $work --x 1e-40
mx "tokens of NaN" --threads $work --x nan
mx "tokens of 1e30" --threads $work --x 1e30
mx "accumulated in f32" --threads $work --prec 10
for variant in sapphirerapids icelake haswell sse42 x64; do mx "library $variant" --threads $work --variant $variant; done
mx "library x64, one thread" --threads 1 --variant x64
