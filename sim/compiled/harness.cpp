// Template of the harness around a Verilated model; sim/compiled/build.py fills in what stands between @.

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "Vmodel.h"
#include "Vmodel___024root.h"
#include "verilated.h"

void Vmodel___024root___eval_settle(Vmodel___024root* vlSelf);
void Vmodel___024root___eval_nba(Vmodel___024root* vlSelf);

namespace {

using Root = Vmodel___024root;

struct Entry {
    uint64_t offset;
    uint64_t size;
};

#define ENTRY(member) {offsetof(Root, member), sizeof(Root::member)}

// Ports, then flip-flops, then memories; registers are the members that keep their value between
// edges, not the copies that Verilator writes them through.
const Entry entries[] = {
@ENTRIES@};

constexpr unsigned first_state = @PORTS@;
constexpr unsigned entry_count = @COUNT@;

struct Model {
    VerilatedContext context;
    Vmodel top{&context};
};

const uint8_t* bytes(const Model* model) {
    return reinterpret_cast<const uint8_t*>(model->top.rootp);
}

inline void cycle(Model* model) {
    model->top.rootp->@CLOCK@ = 1;
    model->top.eval();
    model->top.rootp->@CLOCK@ = 0;
    model->top.eval();
}

// The same where nothing but the clock has changed since the last evaluation: the clock is all that
// triggers anything.
inline void again(Model* model) {
#if @DIRECT@
    Root* root = model->top.rootp;
    root->__VnbaTriggered[0] = 1;
    Vmodel___024root___eval_nba(root);
    root->__VnbaTriggered[0] = 0;
#else
    cycle(model);
#endif
}

template <typename T>
uint64_t run_until(Model* model, uint64_t offset, uint64_t value, uint64_t limit) {
    const T* port = reinterpret_cast<const T*>(bytes(model) + offset);
    for (uint64_t ran = 1; ran <= limit; ++ran) {
        ran == 1 ? cycle(model) : again(model);
        if (*const_cast<const volatile T*>(port) == value) return ran;
    }
    return UINT64_MAX;
}

}  // namespace

extern "C" {

Model* holdfast_new() {
    Model* model = new Model;
    // The first evaluation initializes; a state copied in earlier would be lost.
    model->top.eval();
    return model;
}

void holdfast_delete(Model* model) {
    model->top.final();
    delete model;
}

uint8_t* holdfast_state(Model* model) { return reinterpret_cast<uint8_t*>(model->top.rootp); }

// What lies behind are pointers of this instance.
uint64_t holdfast_state_size() { return offsetof(Root, vlSymsp); }

const Entry* holdfast_entries(Model*) { return entries; }

void holdfast_eval(Model* model) { model->top.eval(); }

void holdfast_settle(Model* model) { Vmodel___024root___eval_settle(model->top.rootp); }

void holdfast_step(Model* model, uint64_t cycles) {
    if (cycles) cycle(model);
    for (uint64_t i = 1; i < cycles; ++i) again(model);
}

// As step, after an evaluation with the present inputs.
void holdfast_again(Model* model, uint64_t cycles) {
    for (uint64_t i = 0; i < cycles; ++i) again(model);
}

uint64_t holdfast_run_until(Model* model, uint64_t offset, uint32_t size, uint64_t value,
                            uint64_t limit) {
    switch (size) {
        case 1: return run_until<uint8_t>(model, offset, value, limit);
        case 2: return run_until<uint16_t>(model, offset, value, limit);
        case 4: return run_until<uint32_t>(model, offset, value, limit);
        default: return run_until<uint64_t>(model, offset, value, limit);
    }
}

// Sends words over a channel with valid and ready; returns how many were taken, and the cycles.
// A word that is not taken within `limit` cycles ends it.
uint32_t holdfast_send(Model* model, uint64_t valid, uint64_t ready, uint64_t data, uint64_t last,
                       const uint32_t* words, uint32_t count, uint64_t limit, uint64_t* cycles) {
    uint8_t* state = reinterpret_cast<uint8_t*>(model->top.rootp);
    const volatile uint8_t* taken = state + ready;
    uint64_t ran = 0;
    uint32_t sent = 0;
    state[valid] = 1;
    for (; sent < count; ++sent) {
        std::memcpy(state + data, words + sent, sizeof *words);
        state[last] = sent + 1 == count;
        bool done = false;
        for (uint64_t waited = 0; !done && waited < limit; ++waited, ++ran) {
            model->top.eval();
            done = *taken;
            cycle(model);
        }
        if (!done) break;
    }
    state[valid] = 0;
    *cycles = ran;
    return sent;
}

uint32_t holdfast_differences(const Model* model, const uint8_t* other, uint32_t* found) {
    const uint8_t* state = bytes(model);
    uint32_t count = 0;
    for (unsigned i = first_state; i < entry_count; ++i) {
        const Entry& entry = entries[i];
        if (std::memcmp(state + entry.offset, other + entry.offset, entry.size)) {
            found[count++] = i - first_state;
        }
    }
    return count;
}

}  // extern "C"
