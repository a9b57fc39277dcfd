// The recorded golden run beside which faults are run: what lockstep.cpp and many.cpp ask of it.

#pragma once

#include <cstdint>
#include <vector>

constexpr uint32_t none = UINT32_MAX;

// As fault/injection/native.py has it, in its order; the caller owns the arrays.
struct GoldenArrays {
    uint64_t boundaries, cycles, descriptors;
    const uint64_t* moments;   // cycle of every boundary
    const uint8_t* empty;      // whether the pipeline is, at every boundary
    const uint8_t* states;     // registers and inputs at every boundary
    const uint64_t* first;     // first change of every boundary, and the end
    const uint32_t* changed;   // words of the packed memories that changed since the boundary before
    const uint32_t* values;
    const uint32_t* counts;    // guard violations counted, by cycle
    const uint64_t* indices;   // cycle in which each descriptor became the current one
    const uint8_t* memories;   // packed, at boundary 0
};

struct GoldenRun : GoldenArrays {
    std::vector<uint32_t> boundary_at;  // by cycle; none where there is no boundary

    void take(const GoldenArrays& arrays) {
        static_cast<GoldenArrays&>(*this) = arrays;
        boundary_at.assign(cycles + 1, none);
        for (uint64_t b = 0; b < boundaries; ++b) boundary_at[moments[b]] = uint32_t(b);
    }

    // The boundary before the end that a golden cycle is; or none.
    uint32_t boundary(int64_t then) const {
        return then >= 0 && uint64_t(then) < cycles ? boundary_at[then] : none;
    }

    // Violations counted in a golden cycle, or in the nearest that there is.
    uint32_t counted(int64_t then) const {
        return counts[then < 0 ? 0 : uint64_t(then) > cycles ? cycles : uint64_t(then)];
    }

    // A layer begins: from here on a run may be late, or early, by a fixed time.
    void begins(uint32_t layer, uint32_t before, uint64_t now, int64_t& shift) const {
        if (layer == before + 1 && layer - 1 < descriptors) {
            shift = int64_t(now) - int64_t(indices[layer - 1]);
        }
    }
};
