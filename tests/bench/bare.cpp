// A bare loop around a Verilated model: bare STATE FIRST_BYTE CYCLES prints its seconds of CPU.

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "Vmodel.h"
#include "Vmodel___024root.h"
#include "verilated.h"

int main(int, char** arguments) {
    VerilatedContext context;
    Vmodel top{&context};
    top.eval();
    char* state = reinterpret_cast<char*>(top.rootp);
    const size_t size = offsetof(Vmodel___024root, vlSymsp), first = std::atol(arguments[2]);
    std::FILE* file = std::fopen(arguments[1], "rb");
    if (!file || std::fseek(file, first, SEEK_SET)) return 1;
    if (std::fread(state + first, 1, size - first, file) != size - first) return 1;
    std::fclose(file);
    const long cycles = std::atol(arguments[3]);
    const std::clock_t begin = std::clock();
    for (long i = 0; i < cycles; ++i) {
        top.clk = 1;
        top.eval();
        top.clk = 0;
        top.eval();
    }
    std::printf("%f\n", double(std::clock() - begin) / CLOCKS_PER_SEC);
    // Verilator marks names that mean something to C++ compilers.
    return top.__SYM__interrupt ? 0 : 2;
}
