/* A thread's part in a training run. Included once for each instruction set, which gives RUN_THREAD its name.

   Every thread takes its own rows of a batch forward and back; then threads take strips of kernels in turn, each with
   all rows' gradients. Nothing is summed in an order that depends on the number of threads. */

#include "products.h"

#include "functions.h"

#include "losses.h"
#include "passes.h"
#include "updates.h"

static void meet(Barrier *barrier) {
    if (barrier->n == 1) return;
    int round = atomic_load(&barrier->round);
    if (atomic_fetch_add(&barrier->arrived, 1) + 1 == barrier->n) {
        atomic_store(&barrier->arrived, 0);
        atomic_store(&barrier->round, round + 1);
        return;
    }
    for (int n_looks = 0; atomic_load_explicit(&barrier->round, memory_order_acquire) == round; n_looks++) {
        if (n_looks > 2000) sched_yield();
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    }
}

/* Room that a thread needs for itself. */
typedef struct {
    float *outputs, *turned_inputs;
} Scratch;

static void share_of(size_t n, size_t thread, size_t n_threads, size_t *first, size_t *last) {
    *first = n * thread / n_threads;
    *last = n * (thread + 1) / n_threads;
}

static void begin_step(Optimizer *optimizer, float rate) {
    optimizer->n_steps++;
    optimizer->rate = optimizer->corrected_rate = rate;
    if (optimizer->kind == ADAM) {
        float step = (float)optimizer->n_steps;
        optimizer->corrected_rate =
            rate * sqrtf(1 - powf(optimizer->beta_2, step)) / (1 - powf(optimizer->beta_1, step));
    }
}

/* A thread always takes the same strips: what belongs to them stays in the cache of its core. */
static void learn(Course *course, size_t thread, size_t n_batch, Scratch scratch) {
    for (const Part *part = course->parts; part < course->parts + course->n_parts; part++) {
        if (part->kind != PRODUCT) continue;
        size_t first, last;
        share_of(part->weights.n_strips, thread, course->n_threads, &first, &last);
        for (size_t strip = first; strip < last; strip++)
            learn_strip(course, part, strip, n_batch, scratch.turned_inputs);
    }
}

static void train_on_batch(Course *course, size_t thread, size_t epoch, size_t batch, double *sums, Scratch scratch) {
    const Table *table = &course->training;
    size_t start = batch * table->batch_size, first, last;
    size_t n_batch = table->n_rows - start < table->batch_size ? table->n_rows - start : table->batch_size;
    const int32_t *order = table->order ? table->order + epoch * table->n_rows + start : 0;
    uint32_t key[2] = {course->keys[2 * epoch], course->keys[2 * epoch + 1] + (uint32_t)batch};
    share_of(n_batch, thread, course->n_threads, &first, &last);
    for (size_t end; first < last; first = end) {
        end = first + BLOCK < last ? first + BLOCK : last;
        gather(course, table, order, start, first, end);
        forward(course, key, first, end);
        judge(course, table, order, start, n_batch, first, end, scratch.outputs);
        backward(course, first, end);
    }
    if (thread == 0) begin_step(&course->optimizer, course->rates[epoch]);
    meet(&course->barrier);
    if (thread == 0) add_up(course, table, order, start, n_batch, sums);
    learn(course, thread, n_batch, scratch);
    if (thread == 0) course->is_stopped = must_stop(course->watch);
    meet(&course->barrier);
    if (thread == 0)
        for (size_t strip = 0; strip < course->n_strips; strip++) sums[0] += n_batch * course->penalties[strip];
}

static double penalty_of(const Course *course) {
    double sum = 0;
    for (const Part *part = course->parts; part < course->parts + course->n_parts; part++) {
        if (part->kind != PRODUCT) continue;
        const Weights *weights = &part->weights;
        for (size_t row = 0; row < weights->n_panels * weights->height; row++) {
            int is_bias = row % weights->height >= weights->n_inputs;
            for (size_t c = 0; c < WIDTH; c++) {
                float value = course->packed[weights->start + row * WIDTH + c];
                sum += weights->l2[is_bias] * value * value + weights->l1[is_bias] * fabsf(value);
            }
        }
    }
    return sum;
}

static void validate(Course *course, size_t thread, double *sums, Scratch scratch) {
    const Table *table = &course->validation;
    double penalty = thread == 0 ? penalty_of(course) : 0;
    for (size_t start = 0; start < table->n_rows; start += table->batch_size) {
        size_t n_batch = table->n_rows - start < table->batch_size ? table->n_rows - start : table->batch_size;
        size_t first, last;
        share_of(n_batch, thread, course->n_threads, &first, &last);
        const int32_t *order = table->order ? table->order + start : 0;
        for (size_t end; first < last; first = end) {
            end = first + BLOCK < last ? first + BLOCK : last;
            gather(course, table, order, start, first, end);
            forward(course, 0, first, end);
            judge(course, table, order, start, n_batch, first, end, scratch.outputs);
        }
        meet(&course->barrier);
        if (thread == 0) {
            add_up(course, table, order, start, n_batch, sums);
            sums[0] += n_batch * penalty;
            course->is_stopped = must_stop(course->watch);
        }
        meet(&course->barrier);
        if (course->is_stopped) return;
    }
}

void RUN_THREAD(Course *course, size_t thread) {
    size_t n_outputs = padded(course->n_outputs), n_turned = (course->n_rows_at_most * STRIP + 7) / 8 * 8;
    float *room = course->scratch + thread * (n_outputs + n_turned);
    Scratch scratch = {room, room + n_outputs};
    size_t n_sums = 2 + 2 * course->n_metrics;
    for (size_t epoch = 0; epoch < course->n_epochs; epoch++) {
        double *sums = course->results + epoch * 2 * n_sums;
        for (size_t batch = 0; batch * course->training.batch_size < course->training.n_rows; batch++) {
            train_on_batch(course, thread, epoch, batch, sums, scratch);
            if (course->is_stopped) return;
        }
        validate(course, thread, sums + n_sums, scratch);
        if (course->is_stopped) return;
        if (thread == 0 && course->recorded)
            unpack_values(course, course->packed, course->recorded + epoch * course->n_values);
    }
}
