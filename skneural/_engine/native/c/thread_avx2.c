/* For x86-64 processors with AVX2 and fused multiplication and addition: nearly all since 2013. */
#include <math.h>
#include <sched.h>
#include <string.h>

#include "prediction.h"

#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif
#define RUN_THREAD run_thread_avx2
#include "thread.h"
#define PREDICT_ROWS predict_rows_avx2
#include "forward.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
