/* A plugin of QEMU's user-mode emulation: the instructions of all threads, told at marks and at the end.
 *
 * A mark is the system call sched_get_priority_max(0x5A000000 | number), which fails with EINVAL and does nothing else
 * (tests/benchmarks/speed/marked_inferences.py makes them). Each mark is a line of the file that out= names:
 *     mark NUMBER INSTRUCTIONS DOT_PRODUCTS
 * and so is the end, as number -1. DOT_PRODUCTS are SDOT and UDOT, which a Cortex-A76 has and a Cortex-A72 has not.
 *
 *     gcc -O2 -shared -fPIC -o count_at_marks.so count_at_marks.c
 *
 * The functions of the plugin interface, version 1 (QEMU 6 to 8), are declared here: Debian ships no header of them.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

typedef uint64_t plugin_id;
struct block;
struct instruction;
size_t qemu_plugin_tb_n_insns(const struct block *);
struct instruction *qemu_plugin_tb_get_insn(const struct block *, size_t);
const void *qemu_plugin_insn_data(const struct instruction *);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct block *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct block *, void (*)(unsigned, void *), int, void *);
void qemu_plugin_register_vcpu_syscall_cb(plugin_id, void (*)(plugin_id, unsigned, int64_t, uint64_t, uint64_t, uint64_t,
                                                              uint64_t, uint64_t, uint64_t, uint64_t, uint64_t));
void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void *), void *);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

enum { SYS_SCHED_GET_PRIORITY_MAX = 125, LANES = 1024 };

/* Threads write to lanes of their own, a cache line each; beyond LANES they share, and the additions stay atomic. */
static struct {
    _Alignas(64) atomic_uint_least64_t all, dots;
} lane[LANES];
static FILE *out;

static int is_dot_product(uint32_t word)
{
    int by_vector = (word & 0x9fe0fc00u) == 0x0e809400u;
    int by_element = (word & 0x9fc0f400u) == 0x0f80e000u;
    return by_vector || by_element;
}

/* A block has at most 512 instructions: both counts fit into the pointer that QEMU hands back. */
static void block_runs(unsigned cpu, void *counts)
{
    uintptr_t both = (uintptr_t)counts;
    atomic_fetch_add_explicit(&lane[cpu % LANES].all, both & 0xffff, memory_order_relaxed);
    if (both >> 16)
        atomic_fetch_add_explicit(&lane[cpu % LANES].dots, both >> 16, memory_order_relaxed);
}

static void block_translated(plugin_id id, struct block *block)
{
    size_t count = qemu_plugin_tb_n_insns(block), dots = 0;
    (void)id;
    for (size_t i = 0; i < count; i++) {
        uint32_t word;
        memcpy(&word, qemu_plugin_insn_data(qemu_plugin_tb_get_insn(block, i)), sizeof word);
        dots += is_dot_product(word);
    }
    qemu_plugin_register_vcpu_tb_exec_cb(block, block_runs, 0, (void *)(uintptr_t)(dots << 16 | count));
}

static void tell(int32_t number)
{
    uint64_t all = 0, dots = 0;
    for (int i = 0; i < LANES; i++) {
        all += lane[i].all;
        dots += lane[i].dots;
    }
    fprintf(out, "mark %" PRId32 " %" PRIu64 " %" PRIu64 "\n", number, all, dots);
    fflush(out);
}

static void system_call(plugin_id id, unsigned cpu, int64_t call, uint64_t first, uint64_t b, uint64_t c, uint64_t d,
                        uint64_t e, uint64_t f, uint64_t g, uint64_t h)
{
    (void)id, (void)cpu, (void)b, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h;
    if (call == SYS_SCHED_GET_PRIORITY_MAX && (first & 0xff000000u) == 0x5a000000u)
        tell((int32_t)(first & 0xffffffu));
}

static void at_end(plugin_id id, void *nothing)
{
    (void)id, (void)nothing;
    tell(-1);
}

__attribute__((visibility("default"))) int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
    (void)info;
    for (int i = 0; i < argc; i++)
        if (!strncmp(argv[i], "out=", 4))
            out = fopen(argv[i] + 4, "w");
    if (!out) {
        fputs("count_at_marks: out=FILE is missing, or cannot be written\n", stderr);
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, block_translated);
    qemu_plugin_register_vcpu_syscall_cb(id, system_call);
    qemu_plugin_register_atexit_cb(id, at_end, NULL);
    return 0;
}
