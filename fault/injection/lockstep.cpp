// Runs faults in a compiled model beside a recorded golden run; see fault/injection/lockstep.py.
//
// "Packed" state is the concatenation of the model's registers, inputs and memories, each copied
// from where it lies in the model. Registers come in four parts: live ones, those that are live unless
// the pipeline is empty (stale), those that nothing but the host reads (free), inputs.

#include <cstdint>
#include <cstring>
#include <vector>

#include "golden.hpp"

namespace {

struct Range {
    uint64_t at;      // offset in the model
    uint64_t packed;  // offset in the packed state
    uint64_t size;
};

struct Flip {
    uint64_t at;  // byte of the model
    uint64_t mask;
};

struct Recorded {
    std::vector<uint8_t> states;       // registers at every boundary
    std::vector<uint64_t> first;       // first change of every boundary, and the end
    std::vector<uint32_t> words;       // changed words of the packed memories since the one before
    std::vector<uint32_t> values;
    std::vector<uint32_t> counts;      // guard violations counted, by cycle
    std::vector<uint64_t> indices;     // cycle in which each descriptor became the current one
};

enum Kind : uint64_t { equal = 0, ended = 1, hang = 2, paused = 3 };

struct Lockstep : GoldenRun {
    void* model;
    uint8_t* root;
    void (*step)(void*, uint64_t);
    void (*again)(void*, uint64_t);  // a step with the inputs of the one before
    void (*settle)(void*);
    std::vector<Range> live, stale, free, inputs, memories;
    uint64_t state_size, memory_size;
    uint64_t index_at, interrupt_at;
    std::vector<uint64_t> guards;

    std::vector<uint8_t> begin;   // packed memories at boundary 0
    std::vector<uint8_t> image;   // packed memories at boundary `at`
    uint64_t at = 0;

    // The run under way.
    uint64_t now = 0;
    int64_t shift = 0;
    uint32_t index = 0;
    std::vector<uint8_t> before, present;
    Recorded recorded;
};

struct Fault {
    uint64_t cycle;     // first cycle in which the bits are wrong
    uint64_t mode;      // 0: inverted once; 1, 2: stuck at 0, at 1
    uint64_t duration;  // cycles for which they are stuck
    uint64_t limit;     // cycle at which a run that has not ended hangs
    uint64_t sync;      // whether to stop when the state is golden again
    uint64_t earliest;  // and from which cycle on
    uint64_t pause;     // cycle in which more is to be disturbed; 0: none
};

struct Reply {
    uint64_t kind;
    uint64_t cycle;       // of the faulty run
    int64_t shift;        // cycles by which it is late
    uint64_t boundary;    // of the golden run
    uint64_t detected;    // first cycle with more guard violations than golden; or UINT64_MAX
    uint64_t differences; // words of the memories
};

void pack(const Lockstep* f, const std::vector<Range>& ranges, uint8_t* to) {
    for (const Range& r : ranges) std::memcpy(to + r.packed, f->root + r.at, r.size);
}

void pack_state(const Lockstep* f, uint8_t* to) {
    for (const auto* part : {&f->live, &f->stale, &f->free, &f->inputs}) pack(f, *part, to);
}

void unpack(Lockstep* f, const std::vector<Range>& ranges, const uint8_t* from) {
    for (const Range& r : ranges) std::memcpy(f->root + r.at, from + r.packed, r.size);
}

bool same(const Lockstep* f, const std::vector<Range>& ranges, const uint8_t* with) {
    for (const Range& r : ranges) {
        if (std::memcmp(f->root + r.at, with + r.packed, r.size)) return false;
    }
    return true;
}

uint32_t word32(const uint8_t* from) {
    uint32_t word;
    std::memcpy(&word, from, 4);
    return word;
}

uint16_t word16(const uint8_t* from) {
    uint16_t word;
    std::memcpy(&word, from, 2);
    return word;
}

uint32_t counted(const Lockstep* f) {
    uint32_t total = 0;
    for (uint64_t guard : f->guards) {
        total += word32(f->root + guard);
    }
    return total;
}

void move(Lockstep* f, uint64_t boundary) {
    if (boundary < f->at) {
        f->image = f->begin;
        f->at = 0;
    }
    const uint64_t end = f->first[boundary + 1];
    for (uint64_t i = f->first[f->at + 1]; i < end; ++i) {
        std::memcpy(f->image.data() + 4 * uint64_t(f->changed[i]), f->values + i, 4);
    }
    f->at = boundary;
}

// Golden memories at a boundary not before the image's; differs[] of the words that do.
uint64_t compare(Lockstep* f, uint64_t boundary, uint32_t* differing, uint32_t* golden,
                 uint32_t* faulty, uint64_t room) {
    std::vector<std::pair<uint32_t, uint32_t>> undo;
    const uint64_t from = f->first[f->at + 1], end = f->first[boundary + 1];
    undo.reserve(end - from);
    for (uint64_t i = from; i < end; ++i) {
        uint8_t* place = f->image.data() + 4 * uint64_t(f->changed[i]);
        undo.emplace_back(f->changed[i], word32(place));
        std::memcpy(place, f->values + i, 4);
    }
    uint64_t count = 0;
    for (const Range& r : f->memories) {
        const uint8_t* a = f->root + r.at;
        const uint8_t* b = f->image.data() + r.packed;
        for (uint64_t block = 0; block < r.size; block += 256) {
            const uint64_t size = r.size - block < 256 ? r.size - block : 256;
            if (!std::memcmp(a + block, b + block, size)) continue;
            for (uint64_t k = block; k < block + size; k += 4) {
                uint32_t x = 0, y = 0;
                const uint64_t part = r.size - k < 4 ? r.size - k : 4;
                std::memcpy(&x, a + k, part);
                std::memcpy(&y, b + k, part);
                if (x == y) continue;
                if (count < room) {
                    differing[count] = uint32_t((r.packed + k) / 4);
                    golden[count] = y;
                    faulty[count] = x;
                }
                ++count;
            }
        }
    }
    for (auto it = undo.rbegin(); it != undo.rend(); ++it) {
        std::memcpy(f->image.data() + 4 * uint64_t(it->first), &it->second, 4);
    }
    return count;
}

bool apply(Lockstep* f, const Flip* flips, uint64_t count, uint64_t mode) {
    bool changed = false;
    for (uint64_t i = 0; i < count; ++i) {
        uint8_t& byte = f->root[flips[i].at];
        const uint8_t mask = uint8_t(flips[i].mask), old = byte;
        byte = mode == 0 ? old ^ mask : mode == 1 ? old & uint8_t(~mask) : old | mask;
        changed |= byte != old;
    }
    if (changed) f->settle(f->model);
    return changed;
}

}  // namespace

extern "C" {

Lockstep* lockstep_new(void* model, uint8_t* root, void (*step)(void*, uint64_t),
                       void (*again)(void*, uint64_t), void (*settle)(void*), const Range* ranges,
                       const uint64_t* counts, const uint64_t* places) {
    Lockstep* f = new Lockstep;
    f->model = model;
    f->root = root;
    f->step = step;
    f->again = again;
    f->settle = settle;
    std::vector<Range>* parts[] = {&f->live, &f->stale, &f->free, &f->inputs, &f->memories};
    for (int part = 0; part < 5; ++part) {
        parts[part]->assign(ranges, ranges + counts[part]);
        ranges += counts[part];
    }
    f->state_size = places[0];
    f->memory_size = places[1];
    f->index_at = places[2];
    f->interrupt_at = places[3];
    f->guards.assign(places + 5, places + 5 + places[4]);
    f->before.resize(f->state_size);
    f->present.resize(f->state_size);
    return f;
}

void lockstep_delete(Lockstep* f) { delete f; }

// Runs the model from its present state, cycle 0, until the interrupt; returns its cycle, or 0.
// Boundaries are at some cycles, in order, and at the interrupt.
uint64_t lockstep_record(Lockstep* f, uint64_t limit, const uint64_t* moments, uint64_t count) {
    Recorded& g = f->recorded;
    g = Recorded();
    std::vector<uint8_t> last(f->memory_size), next(f->memory_size);
    pack(f, f->memories, last.data());
    f->begin = last;
    auto boundary = [&] {
        pack_state(f, f->present.data());
        g.states.insert(g.states.end(), f->present.begin(), f->present.end());
        g.first.push_back(g.words.size());
        pack(f, f->memories, next.data());
        for (uint64_t block = 0; block < f->memory_size; block += 256) {
            const uint64_t size = f->memory_size - block < 256 ? f->memory_size - block : 256;
            if (!std::memcmp(last.data() + block, next.data() + block, size)) continue;
            for (uint64_t k = block; k < block + size; k += 4) {
                const uint32_t value = word32(next.data() + k);
                if (value == word32(last.data() + k)) continue;
                g.words.push_back(uint32_t(k / 4));
                g.values.push_back(value);
            }
        }
        last.swap(next);
    };
    uint32_t index = word16(f->root + f->index_at);
    for (uint64_t cycle = 0; cycle < limit; ++cycle) {
        g.counts.push_back(counted(f));
        const uint32_t current = word16(f->root + f->index_at);
        if (cycle && current != index) {
            index = current;
            g.indices.push_back(cycle);
        }
        // The interrupt of an earlier run ends with the start.
        const bool over = cycle && f->root[f->interrupt_at];
        if (over || (count && *moments == cycle)) {
            boundary();
            ++moments, --count;
        }
        if (over) {
            g.first.push_back(g.words.size());
            return cycle;
        }
        (cycle ? f->again : f->step)(f->model, 1);
    }
    return 0;
}

void lockstep_sizes(const Lockstep* f, uint64_t* sizes) {
    sizes[0] = f->recorded.states.size();
    sizes[1] = f->recorded.first.size();
    sizes[2] = f->recorded.words.size();
    sizes[3] = f->recorded.counts.size();
    sizes[4] = f->recorded.indices.size();
    sizes[5] = f->begin.size();
}

void lockstep_take(Lockstep* f, uint8_t* states, uint64_t* first, uint32_t* words, uint32_t* values,
                   uint32_t* counts, uint64_t* indices, uint8_t* begin) {
    Recorded& g = f->recorded;
    auto take = [](const auto& from, auto* to) {
        if (!from.empty()) std::memcpy(to, from.data(), from.size() * sizeof(from[0]));
    };
    take(g.states, states);
    take(g.first, first);
    take(g.words, words);
    take(g.values, values);
    take(g.counts, counts);
    take(g.indices, indices);
    take(f->begin, begin);
    g = Recorded();
}

void lockstep_golden(Lockstep* f, const GoldenArrays* arrays) {
    f->take(*arrays);
    f->begin.assign(arrays->memories, arrays->memories + f->memory_size);
    f->image = f->begin;
    f->at = 0;
}

// Puts the model into the golden state at a boundary.
void lockstep_load(Lockstep* f, uint64_t boundary) {
    move(f, boundary);
    const uint8_t* state = f->states + boundary * f->state_size;
    for (const auto* part : {&f->live, &f->stale, &f->free, &f->inputs}) unpack(f, *part, state);
    unpack(f, f->memories, f->image.data());
    f->settle(f->model);
    f->now = f->moments[boundary];
    f->shift = 0;
    f->index = word16(f->root + f->index_at);
}

// Puts the model into the state of another, registers and inputs before the memories, that is so late.
void lockstep_put(Lockstep* f, uint64_t boundary, const uint8_t* state, uint64_t cycle,
                  int64_t shift) {
    move(f, boundary);
    for (const auto* part : {&f->live, &f->stale, &f->free, &f->inputs}) unpack(f, *part, state);
    unpack(f, f->memories, state + f->state_size);
    f->settle(f->model);
    f->now = cycle;
    f->shift = shift;
    f->index = word16(f->root + f->index_at);
}

// Runs on to a cycle, without comparing.
void lockstep_advance(Lockstep* f, uint64_t cycle) {
    if (cycle > f->now) f->again(f->model, cycle - f->now);
    f->now = cycle;
    f->index = word16(f->root + f->index_at);
}

// Applies a fault in the present state, which is that of its cycle, and runs on; with no flips it
// continues a run.
void lockstep_run(Lockstep* f, const Flip* flips, uint64_t count, const Fault* fault, Reply* reply,
                  uint32_t* differing, uint32_t* golden, uint32_t* faulty, uint64_t room) {
    uint64_t until = f->now;  // cycles before it are still disturbed
    reply->detected = UINT64_MAX;
    reply->differences = 0;
    if (count) {
        apply(f, flips, count, fault->mode);
        f->index = word16(f->root + f->index_at);
        if (fault->mode) until = f->now + fault->duration;
    }
    unsigned still = 0;
    for (;;) {
        const bool disturbed = f->now < until;
        if (f->root[f->interrupt_at] && f->now) {
            reply->kind = ended;
            break;
        }
        if (fault->pause && f->now >= fault->pause) {
            reply->kind = paused;
            break;
        }
        const int64_t then = int64_t(f->now) - f->shift;
        if (reply->detected == UINT64_MAX) {
            if (counted(f) > f->counted(then)) reply->detected = f->now;
        }
        const uint32_t boundary = f->boundary(then);
        if (!disturbed && fault->sync && f->now >= fault->earliest && boundary != none &&
            boundary >= f->at) {
            const uint8_t* state = f->states + boundary * f->state_size;
            if (same(f, f->live, state) && (f->empty[boundary] || same(f, f->stale, state))) {
                reply->kind = equal;
                reply->boundary = boundary;
                reply->differences = compare(f, boundary, differing, golden, faulty, room);
                break;
            }
        }
        if (f->now >= fault->limit) {
            reply->kind = hang;
            break;
        }
        // A fault that stays to the end is part of the machine.
        if (!fault->pause && (!disturbed || until >= fault->limit)) {
            // Three equal states in a row, and memories that the same write has gone to twice: no
            // later one can differ.
            if (f->now % 64 == 0) {
                pack(f, f->live, f->before.data());
                pack(f, f->stale, f->before.data());
                still = 1;
            } else if (still) {
                const bool equal = same(f, f->live, f->before.data()) &&
                                   same(f, f->stale, f->before.data());
                still = equal ? still + 1 : 0;
                if (still == 3) {
                    reply->kind = hang;
                    break;
                }
            }
        }
        f->again(f->model, 1);
        ++f->now;
        if (f->now < until) apply(f, flips, count, fault->mode);
        const uint32_t current = word16(f->root + f->index_at);
        if (current != f->index) {
            f->begins(current, f->index, f->now, f->shift);
            f->index = current;
        }
    }
    reply->cycle = f->now;
    reply->shift = f->shift;
    if (reply->kind == ended) {
        reply->boundary = f->boundaries - 1;
        reply->differences =
            compare(f, f->boundaries - 1, differing, golden, faulty, room);
    }
}

void lockstep_state(Lockstep* f, uint8_t* to) {
    pack_state(f, to);
}

// Steps the model and packs the state of every cycle, the present one first.
void lockstep_states(Lockstep* f, uint64_t cycles, uint8_t* to) {
    for (uint64_t cycle = 0; cycle < cycles; ++cycle) {
        lockstep_state(f, to + cycle * f->state_size);
        f->again(f->model, 1);
        ++f->now;
    }
}

}  // extern "C"
