/* What the processor has, and how it is to compute. */
#ifndef SKNEURAL_PROCESSOR_H
#define SKNEURAL_PROCESSOR_H

/* The best form of a function that there is one of for each instruction set. */
#if defined(__x86_64__)
static inline int has_avx2(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#define BEST(NAME) (has_avx2() ? NAME##_avx2 : NAME##_portable)
#else
#define BEST(NAME) NAME##_portable
#endif

/* Numbers below the smallest normal one are zero, as in TensorFlow's threads: some processors are slow with them. */
static inline unsigned flush_denormals(unsigned control) {
#if defined(__x86_64__)
    unsigned before = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(control ? control : before | 0x8040);
    return before;
#else
    return control;
#endif
}

#endif
