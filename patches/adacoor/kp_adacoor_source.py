"""The step of AdaCoor on a CPU, in C++: every number is read once and written once.

It computes in the order of kp_adacoor_step.py. So what is rounded to the nearest is the same, but
where torch's root (MKL's) is off by a bit.
"""

CPP = r"""
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#ifdef _OPENMP
#include <omp.h>
#endif

namespace {

struct bfloat16 {
  std::uint16_t bits;  // the upper half of a float's
};

constexpr std::uint32_t LARGEST = 0x7F7F0000, INFINITE = 0x7F800000, SIZE = 0x7FFFFFFF;
constexpr std::int64_t ROW = 4096;  // numbers that noise is drawn for one by one: half of a cache
constexpr std::int64_t ALIGNED = 64;  // so that no two threads write to one line of memory
constexpr std::int64_t WORTH = 1 << 15;  // numbers that are worth a second thread

struct Factors {
  float epsilon, step, keep;  // step is -lr * epsilon, keep is 1 - lr * weight_decay
};

// a * b + c as torch computes it: rounded once where the processor can.
float multiply_add(float a, float b, float c) {
#if defined(__FP_FAST_FMAF) || defined(__FMA__)  // clang has the second on x86
  return std::fma(a, b, c);
#else
  return a * b + c;
#endif
}

float exact(float x) { return x; }

float exact(bfloat16 x) {
  const std::uint32_t bits = std::uint32_t(x.bits) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

template <bool by_chance>
void store(float value, std::uint32_t, float& into) {
  into = value;
}

// Noise is from 0 to 65535.
template <bool by_chance>
void store(float value, std::uint32_t noise, bfloat16& into) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  const std::uint32_t size = bits & SIZE;
  // To the nearest, of two as near to the even one; or up as often as the lower half is large.
  const std::uint32_t more = by_chance ? noise : 0x7FFF + ((bits >> 16) & 1);
  // What is not finite is cut off: a NaN that was computed has a bit in the upper half. So is what
  // would become infinite by chance.
  const bool cut = by_chance ? size >= LARGEST : size >= INFINITE;
  into.bits = std::uint16_t((bits + (cut ? 0 : more)) >> 16);
}

template <class Weight, class Sum, bool by_chance>
void some(Weight* __restrict p, const Weight* __restrict g, Sum* __restrict v, std::int64_t count,
          Factors factors, const std::uint32_t* __restrict row, std::uint32_t more) {
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint32_t noise = by_chance ? row[i] ^ more : 0;
    const float gradient = exact(g[i]);
    const float total = multiply_add(factors.epsilon * gradient, gradient, exact(v[i]));
    store<by_chance>(total, noise >> 16, v[i]);
    const float root = std::sqrt(exact(v[i])) + factors.epsilon;  // what was stored is what counts
    store<by_chance>(exact(p[i]) * factors.keep + factors.step * gradient / root, noise & 0xFFFF,
                     p[i]);
  }
}

// 32 random bits: C. Wellons' lowbias32, with the second key added half way.
std::uint32_t hash(std::uint32_t x, const std::uint32_t* keys) {
  x ^= keys[0];
  x = (x ^ (x >> 16)) * 0x7FEB352D;
  x = ((x ^ (x >> 15)) + keys[1]) * 0x846CA68B;
  return x ^ (x >> 16);
}

// The noise of a place depends on it and the keys only. One row is drawn, and one number more for
// each further row, which all of the first are xor-ed with: any two of them are independent.
template <class Weight, class Sum, bool by_chance>
void slice(void* weights, const void* gradients, void* sums, std::int64_t from, std::int64_t to,
           Factors factors, const std::uint32_t* row, const std::uint32_t* keys) {
  while (from < to) {
    const std::int64_t number = from / ROW, start = number * ROW;
    const std::int64_t end = std::min(to, start + ROW);
    const auto place = std::uint32_t(ROW - 1 + number);
    const std::uint32_t more = by_chance && number ? hash(place, keys) : 0;
    some<Weight, Sum, by_chance>(static_cast<Weight*>(weights) + from,
                                 static_cast<const Weight*>(gradients) + from,
                                 static_cast<Sum*>(sums) + from, end - from, factors,
                                 by_chance ? row + (from - start) : nullptr, more);
    from = end;
  }
}

using Slice = void (*)(void*, const void*, void*, std::int64_t, std::int64_t, Factors,
                       const std::uint32_t*, const std::uint32_t*);

// By whether the weights are bfloat16, whether the sums are, and whether it is rounded by chance.
constexpr Slice SLICES[2][2][2] = {
    {{slice<float, float, false>, slice<float, float, false>},
     {slice<float, bfloat16, false>, slice<float, bfloat16, true>}},
    {{slice<bfloat16, float, false>, slice<bfloat16, float, true>},
     {slice<bfloat16, bfloat16, false>, slice<bfloat16, bfloat16, true>}},
};

}  // namespace

// Step `count` tensors of `sizes` numbers, on up to `threads` threads. Without `keys`, what is
// bfloat16 is rounded to the nearest.
extern "C" void kp_adacoor(bool small_weights, bool small_sums, std::int64_t count, void** weights,
                           void** gradients, void** sums, const std::int64_t* sizes, float epsilon,
                           float step, float keep, const std::uint32_t* keys, int threads) {
  const Slice run = SLICES[small_weights][small_sums][keys != nullptr];
  const Factors factors{epsilon, step, keep};
  std::int64_t all = 0, largest = 0;
  for (std::int64_t n = 0; n < count; ++n) {
    all += sizes[n];
    largest = std::max(largest, sizes[n]);
  }
  std::uint32_t row[ROW];
  if (keys)
    for (std::int64_t i = 0; i < std::min(largest, ROW); ++i) row[i] = hash(std::uint32_t(i), keys);
#pragma omp parallel num_threads(threads) if (all > WORTH)
  {
#ifdef _OPENMP
    const std::int64_t own = omp_get_thread_num(), together = omp_get_num_threads();
#else
    const std::int64_t own = 0, together = 1;
#endif
    for (std::int64_t n = 0; n < count; ++n) {
      const std::int64_t parts = (sizes[n] + ALIGNED - 1) / ALIGNED;
      run(weights[n], gradients[n], sums[n], parts * own / together * ALIGNED,
          std::min(sizes[n], parts * (own + 1) / together * ALIGNED), factors, row, keys);
    }
  }
}
"""
