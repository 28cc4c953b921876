/* For every processor. */
#include <math.h>
#include <sched.h>
#include <string.h>

#include "prediction.h"

#define RUN_THREAD run_thread_portable
#include "thread.h"
#define PREDICT_ROWS predict_rows_portable
#include "forward.h"
