// Runs faults in many machines at once beside a recorded golden run; see fault/injection/many.py.
// A machine does what lockstep.cpp does with a fault; when it is done it takes the next one.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "golden.hpp"

namespace {

struct Item {
    uint64_t at;      // of machine 0
    uint64_t size;    // bytes, and what the next machine's lies behind
    uint64_t packed;  // in a packed state
};

struct Range {
    uint64_t at, packed, size;  // of a memory
};

struct Fault {
    uint64_t cycle;
    uint64_t at, mask;  // byte of machine 0, and what is inverted in it
    uint64_t size;      // of the item
};

constexpr uint64_t never = UINT64_MAX;
enum Kind : uint64_t { equal = 0, ended = 1, hang = 2, unfinished = 3 };

struct Reply {
    uint64_t kind, cycle;
    int64_t shift;
    uint64_t detected, counted;
    uint64_t first, differences;  // of those that are taken
    uint64_t saved;               // which saved state is its, or UINT64_MAX
};

struct Machine {
    uint64_t fault = never;  // none
    uint64_t now = 0;
    int64_t shift = 0;
    uint32_t index = 0;
    unsigned still = 0;
    bool struck = false;
    uint64_t detected = never;
    // Its memories are those of a boundary, but for the blocks that were written; its golden ones,
    // in the shadow, are those of another.
    bool known = false;
    uint64_t from = 0, golden = 0;
    std::vector<uint8_t> before;
};

struct Many : GoldenRun {
    uint64_t machines, size, stride, block;  // bytes of memories, with what was written, of a block
    void (*step)(const uint8_t*, uint8_t*, const uint8_t*, uint8_t*);
    void (*interrupt)(const uint8_t*, const uint8_t*, uint8_t*);
    std::vector<Item> live, stale, free, inputs;
    std::vector<Range> ranges;
    uint64_t state_size, memory_size;
    Item index;
    std::vector<Item> guards;
    uint8_t *state, *next, *ports, *words, *shadows;
    std::vector<Machine> all;

    std::vector<uint32_t> places;             // of every word of the packed memories
    std::vector<uint32_t> blocks;             // that change at each boundary
    std::vector<uint64_t> first_block;
    std::vector<uint8_t> begin, image;        // golden memories at boundaries 0 and `at`
    uint64_t at = 0;
    std::vector<uint8_t> marked;              // blocks

    std::vector<uint32_t> differing, golden, faulty;
    std::vector<uint8_t> saved;
    uint64_t saves = 0;
};

uint8_t* place(const Item& item, uint8_t* base, uint64_t machine) {
    return base + item.at + machine * item.size;
}

void unpack(const std::vector<Item>& items, uint8_t* base, uint64_t machine, const uint8_t* from) {
    for (const Item& item : items) {
        std::memcpy(place(item, base, machine), from + item.packed, item.size);
    }
}

void pack(const std::vector<Item>& items, uint8_t* base, uint64_t machine, uint8_t* to) {
    for (const Item& item : items) {
        std::memcpy(to + item.packed, place(item, base, machine), item.size);
    }
}

bool same(const std::vector<Item>& items, uint8_t* base, uint64_t machine, const uint8_t* with) {
    for (const Item& item : items) {
        const uint8_t* found = place(item, base, machine);
        switch (item.size) {
            case 1: if (*found != with[item.packed]) return false; break;
            case 2: if (std::memcmp(found, with + item.packed, 2)) return false; break;
            default: if (std::memcmp(found, with + item.packed, 4)) return false;
        }
    }
    return true;
}

uint32_t value(const Item& item, uint8_t* base, uint64_t machine) {
    uint32_t found = 0;
    std::memcpy(&found, place(item, base, machine), item.size);
    return found;
}

uint32_t counted(const Many* f, uint64_t machine) {
    uint32_t total = 0;
    for (const Item& guard : f->guards) total += value(guard, f->state, machine);
    return total;
}

// Applies the changes of golden memories from a boundary to a later one.
void change(const Many* f, uint8_t* memories, uint64_t from, uint64_t to) {
    for (uint64_t i = f->first[from + 1]; i < f->first[to + 1]; ++i) {
        std::memcpy(memories + f->places[f->changed[i]], f->values + i, 4);
    }
}

void move(Many* f, uint64_t boundary) {
    if (boundary < f->at) {
        f->image = f->begin;
        f->at = 0;
    }
    change(f, f->image.data(), f->at, boundary);
    f->at = boundary;
}

// Marks the blocks that a machine has written, or that change from a boundary to another.
void mark(Many* f, uint64_t number, uint64_t from, uint64_t to) {
    const uint8_t* written = f->words + number * f->stride + f->size;
    f->marked.assign(written, written + f->size / f->block);
    for (uint64_t i = f->first_block[from + 1]; i < f->first_block[to + 1]; ++i) {
        f->marked[f->blocks[i]] = 1;
    }
}

void load(Many* f, uint64_t number, const Fault& fault, uint64_t which) {
    Machine& m = f->all[number];
    const uint64_t* end = f->moments + f->boundaries;
    const uint64_t boundary = std::upper_bound(f->moments, end, fault.cycle) - f->moments - 1;
    move(f, boundary);
    const uint8_t* state = f->states + boundary * f->state_size;
    for (const auto* part : {&f->live, &f->stale, &f->free}) unpack(*part, f->state, number, state);
    unpack(f->inputs, f->ports, number, state);
    uint8_t *words = f->words + number * f->stride, *shadow = f->shadows + number * f->stride;
    if (m.known) {
        mark(f, number, std::min(m.from, boundary), std::max(m.golden, boundary));
    } else {
        f->marked.assign(f->size / f->block, 1);
    }
    for (uint64_t k = 0; k < f->marked.size(); ++k) {
        if (!f->marked[k]) continue;
        const uint8_t* from = f->image.data() + k * f->block;
        std::memcpy(words + k * f->block, from, f->block);
        std::memcpy(shadow + k * f->block, from, f->block);
    }
    std::memset(words + f->size, 0, f->stride - f->size);
    m.known = true;
    m.golden = boundary;
    m.fault = which;
    m.now = f->moments[boundary];
    m.shift = 0;
    m.still = 0;
    m.struck = false;
    m.detected = never;
    m.from = boundary;
}

void compare(Many* f, uint64_t number, uint64_t boundary, Reply& reply) {
    Machine& m = f->all[number];
    const uint8_t* words = f->words + number * f->stride;
    uint8_t* shadow = f->shadows + number * f->stride;
    change(f, shadow, m.golden, boundary);
    m.golden = boundary;
    mark(f, number, m.from, boundary);
    reply.first = f->differing.size();
    for (const Range& r : f->ranges) {
        const uint8_t *a = words + r.at, *b = shadow + r.at;
        for (uint64_t block = 0; block < r.size; block += f->block) {
            const uint64_t size = std::min(f->block, r.size - block);
            if (!f->marked[(r.at + block) / f->block]) continue;
            if (!std::memcmp(a + block, b + block, size)) continue;
            for (uint64_t k = block; k < block + size; k += 4) {
                uint32_t x = 0, y = 0;
                const uint64_t part = std::min<uint64_t>(4, r.size - k);
                std::memcpy(&x, a + k, part);
                std::memcpy(&y, b + k, part);
                if (x == y) continue;
                f->differing.push_back(uint32_t((r.packed + k) / 4));
                f->golden.push_back(y);
                f->faulty.push_back(x);
            }
        }
    }
    reply.differences = f->differing.size() - reply.first;
}

// Keeps a machine's state, for one that runs alone.
void save(Many* f, uint64_t number, Reply& reply) {
    reply.saved = f->saves++;
    const uint64_t size = f->state_size + f->memory_size, begin = f->saved.size();
    f->saved.resize(begin + size);
    uint8_t* to = f->saved.data() + begin;
    for (const auto* part : {&f->live, &f->stale, &f->free}) pack(*part, f->state, number, to);
    pack(f->inputs, f->ports, number, to);
    const uint8_t* words = f->words + number * f->stride;
    for (const Range& r : f->ranges) {
        std::memcpy(to + f->state_size + r.packed, words + r.at, r.size);
    }
}

// Says how a machine's run was left; it is then free.
bool finish(Many* f, uint64_t number, Kind kind, Reply* replies, uint64_t boundary = 0) {
    Machine& m = f->all[number];
    Reply& reply = replies[m.fault];
    reply = {kind, m.now, m.shift, m.detected, counted(f, number), 0, 0, never};
    if (kind == equal || kind == ended) compare(f, number, boundary, reply);
    if (kind == ended || kind == unfinished) save(f, number, reply);
    m.fault = never;
    return false;
}

// What lockstep_run does before a step; whether the machine goes on.
bool check(Many* f, uint64_t number, bool interrupt, uint64_t limit, Reply* replies) {
    Machine& m = f->all[number];
    if (interrupt && m.now) return finish(f, number, ended, replies, f->boundaries - 1);
    const int64_t then = int64_t(m.now) - m.shift;
    if (m.detected == never) {
        if (counted(f, number) > f->counted(then)) m.detected = m.now;
    }
    const uint32_t boundary = f->boundary(then);
    if (boundary != none && boundary >= m.from) {
        const uint8_t* state = f->states + boundary * f->state_size;
        if (same(f->live, f->state, number, state) &&
            (f->empty[boundary] || same(f->stale, f->state, number, state))) {
            return finish(f, number, equal, replies, boundary);
        }
    }
    if (m.now >= limit) return finish(f, number, hang, replies);
    if (m.now % 64 == 0) {
        pack(f->live, f->state, number, m.before.data());
        pack(f->stale, f->state, number, m.before.data());
        m.still = 1;
    } else if (m.still) {
        const bool still = same(f->live, f->state, number, m.before.data()) &&
                           same(f->stale, f->state, number, m.before.data());
        m.still = still ? m.still + 1 : 0;
        if (m.still == 3) return finish(f, number, hang, replies);
    }
    return true;
}

uint8_t* room(uint64_t size) {
    const uint64_t whole = (size + 127) / 64 * 64;
    uint8_t* found = static_cast<uint8_t*>(std::aligned_alloc(64, whole));
    std::memset(found, 0, whole);
    return found;
}

}  // namespace

extern "C" {

Many* many_new(void (*step)(const uint8_t*, uint8_t*, const uint8_t*, uint8_t*),
               void (*interrupt)(const uint8_t*, const uint8_t*, uint8_t*), const uint64_t* sizes,
               const Item* items, const uint64_t* counts, const Range* memories) {
    Many* f = new Many;
    f->step = step;
    f->interrupt = interrupt;
    f->machines = sizes[0];
    f->size = sizes[3];
    f->stride = sizes[4];
    f->block = sizes[5];
    f->state_size = sizes[6];
    f->memory_size = sizes[7];
    f->state = room(sizes[0] * sizes[1]);
    f->next = room(sizes[0] * sizes[1]);
    f->ports = room(sizes[0] * sizes[2]);
    f->words = room(sizes[0] * sizes[4]);
    f->shadows = room(sizes[0] * sizes[4]);
    std::vector<Item>* parts[] = {&f->live, &f->stale, &f->free, &f->inputs, &f->guards};
    for (int part = 0; part < 5; ++part) {
        parts[part]->assign(items, items + counts[part]);
        items += counts[part];
    }
    f->index = *items;
    f->ranges.assign(memories, memories + counts[5]);
    f->places.assign(f->memory_size / 4, 0);
    for (const Range& r : f->ranges) {
        for (uint64_t k = 0; k < r.size; k += 4) f->places[(r.packed + k) / 4] = uint32_t(r.at + k);
    }
    f->all.resize(f->machines);
    for (Machine& m : f->all) m.before.resize(f->state_size);
    return f;
}

void many_delete(Many* f) {
    for (uint8_t* part : {f->state, f->next, f->ports, f->words, f->shadows}) std::free(part);
    delete f;
}

void many_golden(Many* f, const GoldenArrays* arrays) {
    f->take(*arrays);
    f->begin.assign(f->size, 0);
    for (const Range& r : f->ranges) {
        std::memcpy(f->begin.data() + r.at, arrays->memories + r.packed, r.size);
    }
    f->image = f->begin;
    f->at = 0;
    f->blocks.clear();
    f->first_block.assign(1, 0);
    std::vector<uint64_t> latest(f->size / f->block, never);
    for (uint64_t b = 0; b < f->boundaries; ++b) {
        for (uint64_t i = f->first[b]; i < f->first[b + 1]; ++i) {
            const uint32_t block = f->places[f->changed[i]] / f->block;
            if (latest[block] == b) continue;
            latest[block] = b;
            f->blocks.push_back(block);
        }
        f->first_block.push_back(f->blocks.size());
    }
    for (Machine& m : f->all) m.known = false;
}

// Runs faults, ascending by cycle, until fewer than `least` machines have any; those are left
// unfinished. Sizes: of the differences and the saved states.
void many_run(Many* f, const Fault* faults, uint64_t count, uint64_t limit, uint64_t least,
              Reply* replies, uint64_t* sizes) {
    uint64_t following = 0;
    std::vector<uint8_t> over(std::max<uint64_t>(f->machines, 64));
    f->differing.clear();
    f->golden.clear();
    f->faulty.clear();
    f->saved.clear();
    f->saves = 0;
    for (;;) {
        uint64_t active = 0;
        bool unsure = false;
        f->interrupt(f->state, f->ports, over.data());
        for (uint64_t number = 0; number < f->machines; ++number) {
            Machine& m = f->all[number];
            for (bool fresh = false;; fresh = true) {
                if (m.fault == never) {
                    if (following == count) break;
                    load(f, number, faults[following], following);
                    ++following;
                }
                const Fault& fault = faults[m.fault];
                if (m.now < fault.cycle) break;
                if (!m.struck) {
                    f->state[fault.at + number * fault.size] ^= uint8_t(fault.mask);
                    m.struck = true;
                    m.index = value(f->index, f->state, number);
                    // The output follows the state.
                    f->interrupt(f->state, f->ports, over.data());
                }
                if (check(f, number, over[number], limit, replies)) break;
            }
            active += m.fault != never;
            unsure |= m.fault != never && m.still;
        }
        if (!active) break;
        // A machine that may hang is not left in the middle of finding out.
        if (following == count && active < least && !unsure) {
            for (uint64_t number = 0; number < f->machines; ++number) {
                if (f->all[number].fault != never) finish(f, number, unfinished, replies);
            }
            break;
        }
        f->step(f->state, f->next, f->ports, f->words);
        std::swap(f->state, f->next);
        for (uint64_t number = 0; number < f->machines; ++number) {
            Machine& m = f->all[number];
            if (m.fault == never) continue;
            ++m.now;
            if (!m.struck) continue;
            const uint32_t current = value(f->index, f->state, number);
            if (current != m.index) {
                f->begins(current, m.index, m.now, m.shift);
                m.index = current;
            }
        }
    }
    sizes[0] = f->differing.size();
    sizes[1] = f->saved.size();
}

void many_take(const Many* f, uint32_t* differing, uint32_t* golden, uint32_t* faulty,
               uint8_t* saved) {
    auto take = [](const auto& from, auto* to) {
        if (!from.empty()) std::memcpy(to, from.data(), from.size() * sizeof(from[0]));
    };
    take(f->differing, differing);
    take(f->golden, golden);
    take(f->faulty, faulty);
    take(f->saved, saved);
}

}  // extern "C"
