/* For every processor. */
#include <math.h>
#include <sched.h>
#include <string.h>

#include "course.h"

#define RUN_THREAD run_thread_portable
#include "thread.h"
