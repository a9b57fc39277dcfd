// Template of many machines of a netlist; sim/compiled/many.py fills in what stands between @.

#include <cstddef>
#include <cstdint>
#ifdef __AVX512F__
#include <immintrin.h>
#endif
#define CV __builtin_convertvector
#define N @MACHINES@
#define SCALAR(bits) \
    typedef uint##bits##_t __attribute__((may_alias)) u##bits; \
    typedef uint##bits##_t w##bits __attribute__((vector_size(N * bits / 8), may_alias)); \
    typedef int##bits##_t x##bits __attribute__((vector_size(N * bits / 8), may_alias));
SCALAR(8) SCALAR(16) SCALAR(32) SCALAR(64)

namespace {

#define INLINE __attribute__((always_inline)) inline
#if defined(__AVX512F__) && N == 16
INLINE w32 to32(w8 a) { return (w32)_mm512_cvtepu8_epi32((__m128i)a); }
INLINE w32 to32(w16 a) { return (w32)_mm512_cvtepu16_epi32((__m256i)a); }
INLINE w8 to8(w32 a) { return (w8)_mm512_cvtepi32_epi8((__m512i)a); }
INLINE w16 to16(w32 a) { return (w16)_mm512_cvtepi32_epi16((__m512i)a); }
struct two { __m512i low, high; };
INLINE w64 to64(w32 a) {
    two found{_mm512_cvtepu32_epi64(_mm512_castsi512_si256((__m512i)a)),
              _mm512_cvtepu32_epi64(_mm512_extracti64x4_epi64((__m512i)a, 1))};
    return __builtin_bit_cast(w64, found);
}
INLINE w32 to32(w64 a) {
    const two parts = __builtin_bit_cast(two, a);
    return (w32)_mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi64_epi32(parts.low)),
                                   _mm512_cvtepi64_epi32(parts.high), 1);
}
#else
INLINE w32 to32(w8 a) { return CV(a, w32); }
INLINE w32 to32(w16 a) { return CV(a, w32); }
INLINE w32 to32(w64 a) { return CV(a, w32); }
INLINE w8 to8(w32 a) { return CV(a, w8); }
INLINE w16 to16(w32 a) { return CV(a, w16); }
INLINE w64 to64(w32 a) { return CV(a, w64); }
#endif
INLINE w64 to64(w8 a) { return to64(to32(a)); }
INLINE w64 to64(w16 a) { return to64(to32(a)); }

constexpr uint64_t stride = @STRIDE@, words = @WORDS@, block = @BLOCK@;

// Words of the machines' memories; beyond their end there are zeros.
template <class T, class V>
INLINE V get(const uint8_t* m, w32 address, uint32_t depth) {
    V found;
    for (int k = 0; k < N; ++k) {
        const uint32_t at = address[k];
        found[k] = at < depth ? *(const T*)(m + k * stride + sizeof(T) * at) : T(0);
    }
    return found;
}

template <class T, class V>
INLINE void put(uint8_t* m, uint64_t base, w32 address, V data, w32 enable, uint32_t depth) {
    uint64_t any = 0;
    for (int k = 0; k < N; k += 2) any |= *(const u64*)((const uint8_t*)&enable + 4 * k);
    if (!any) return;
    for (int k = 0; k < N; ++k) {
        if (enable[k] && address[k] < depth) {
            const uint64_t at = base + sizeof(T) * address[k];
            *(T*)(m + k * stride + at) = data[k];
            m[k * stride + words + at / block] = 1;
        }
    }
}

}  // namespace

extern "C" {

// Computes the next state (n) of all machines, from their state (s), inputs (p) and memories (m).
void machines_step(const uint8_t* __restrict s, uint8_t* __restrict n, const uint8_t* __restrict p,
                uint8_t* __restrict m) {
    @STEP@
}

void machines_output(const uint8_t* s, const uint8_t* p, uint8_t* o) {
    const uint8_t* m = nullptr;
    @OUTPUT@
}

}
