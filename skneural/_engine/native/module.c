/* Training runs of dense networks for Python: arrays are checked here, and no Python object is touched in a run. */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "course.h"

/* Memory of zeros, all freed at once. Arrays begin at cache lines. */
typedef struct {
    char *memory;
    size_t n_used;
} Arena;

enum { LINE = 64 };

static void *take(Arena *arena, size_t n, size_t size) {
    size_t n_bytes = (n * size + LINE - 1) / LINE * LINE;
    void *taken = arena->memory ? arena->memory + arena->n_used : NULL;
    arena->n_used += n_bytes;
    return taken;
}

static size_t whole_panels(size_t n) { return (n + WIDTH - 1) / WIDTH; }

/* Rows lie an odd number of cache lines apart, so that a column's entries are spread over the cache. */
static Rows take_rows(Arena *arena, size_t n_rows, size_t n) {
    size_t stride = whole_panels(n + 1);
    stride = (stride | 1) * WIDTH;
    /* A strip reads beyond the end of the last row. */
    return (Rows){take(arena, n_rows * stride + STRIP, sizeof(float)), stride, n};
}

/* What Python gives, but for the tables. */
typedef struct {
    const int32_t *parts; /* kind, and: outputs and whether there is a bias; function; stream */
    const float *part_rates, *penalties;
    size_t n_parts;
} Layout;

/* Lay out a course in an arena; the first time, without memory, this tells only how much is needed. */
static void lay_out(Course *course, Layout layout, Arena *arena) {
    size_t n_rows = course->n_rows_at_most;
    course->parts = take(arena, layout.n_parts, sizeof(Part));
    course->input = take_rows(arena, n_rows, course->n_inputs);
    Rows rows = course->input, upstream = {0};
    size_t at = 0, product = 0, n_values = 0, strip = 0;
    for (size_t i = 0; i < layout.n_parts; i++) {
        const int32_t *given = layout.parts + 3 * i;
        Part part = {.kind = given[0], .function = given[1], .stream = (uint32_t)given[1]};
        part.inputs = part.outputs = rows;
        part.upstream = upstream;
        part.rate = layout.part_rates[i];
        if (part.kind == PRODUCT) {
            size_t n_outputs = (size_t)given[1];
            Weights weights = {.start = at, .n_inputs = rows.n, .has_bias = given[2], .first_strip = strip};
            weights.height = rows.n + (given[2] != 0);
            weights.n_panels = whole_panels(n_outputs);
            weights.n_strips = (weights.height + STRIP - 1) / STRIP;
            for (int k = 0; k < 2; k++) {
                weights.l1[k] = layout.penalties[4 * product + k];
                weights.l2[k] = layout.penalties[4 * product + 2 + k];
            }
            if (product) weights.turned = take(arena, whole_panels(rows.n) * n_outputs * WIDTH, sizeof(float));
            part.outputs = take_rows(arena, n_rows, n_outputs);
            part.upstream = upstream = take_rows(arena, n_rows, n_outputs);
            part.weights = weights;
            at += weights.n_panels * weights.height * WIDTH;
            n_values += weights.height * n_outputs;
            strip += weights.n_strips;
            product++;
        } else if (part.kind == DROPOUT) {
            part.outputs = take_rows(arena, n_rows, rows.n);
            part.factors = take_rows(arena, n_rows, rows.n).values;
        }
        rows = part.outputs;
        if (arena->memory) course->parts[i] = part;
    }
    course->n_parts = layout.n_parts;
    course->n_products = product;
    course->n_values = n_values;
    course->n_packed = at;
    course->n_strips = strip;
    course->n_outputs = rows.n;
    course->packed = take(arena, at, sizeof(float));
    course->optimizer.first = take(arena, at, sizeof(float));
    course->optimizer.second = take(arena, at, sizeof(float));
    course->row_losses = take(arena, n_rows, sizeof(float));
    course->row_metrics = take(arena, n_rows * course->n_metrics, sizeof(float));
    course->penalties = take(arena, strip, sizeof(float));
    course->scratch = take(arena, course->n_threads * (whole_panels(rows.n) * WIDTH + (n_rows + 1) * STRIP), sizeof(float));
}

/* Keras lays a kernel out row by row, and its bias behind it. */
void pack_values(const Course *course, const float *values, float *packed) {
    for (const Part *part = course->parts; part < course->parts + course->n_parts; part++) {
        const Weights *weights = &part->weights;
        size_t n = part->outputs.n;
        for (size_t row = 0; part->kind == PRODUCT && row < weights->height; row++, values += n)
            for (size_t c = 0; c < n; c++)
                packed[weights->start + (c / WIDTH * weights->height + row) * WIDTH + c % WIDTH] = values[c];
    }
}

void unpack_values(const Course *course, const float *packed, float *values) {
    for (const Part *part = course->parts; part < course->parts + course->n_parts; part++) {
        const Weights *weights = &part->weights;
        size_t n = part->outputs.n;
        for (size_t row = 0; part->kind == PRODUCT && row < weights->height; row++, values += n)
            for (size_t c = 0; c < n; c++)
                values[c] = packed[weights->start + (c / WIDTH * weights->height + row) * WIDTH + c % WIDTH];
    }
}

static void turn_kernels(const Course *course) {
    for (const Part *part = course->parts; part < course->parts + course->n_parts; part++) {
        const Weights *weights = &part->weights;
        if (part->kind != PRODUCT || !weights->turned) continue;
        size_t n = part->outputs.n;
        for (size_t row = 0; row < weights->n_inputs; row++)
            for (size_t c = 0; c < n; c++)
                weights->turned[(row / WIDTH * n + c) * WIDTH + row % WIDTH] =
                    course->packed[weights->start + (c / WIDTH * weights->height + row) * WIDTH + c % WIDTH];
    }
}

/* --- threads -------------------------------------------------------------------------------------------------- */

/* Numbers below the smallest normal one are zero, as in TensorFlow's threads: some processors are slow with them. */
static unsigned flush_denormals(unsigned control) {
#if defined(__x86_64__)
    unsigned before = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(control ? control : before | 0x8040);
    return before;
#else
    return control;
#endif
}

typedef struct {
    Course *course;
    RunThread *run;
    atomic_int *may_start;
    size_t index;
    pthread_t id;
} Worker;

static void *work(void *given) {
    Worker *worker = given;
    while (!atomic_load(worker->may_start)) sched_yield();
    flush_denormals(0);
    worker->run(worker->course, worker->index);
    return NULL;
}

/* Run with as many threads as can be had, this one among them. */
static void run_course(Course *course, Worker *workers, RunThread *run) {
    atomic_int may_start = 0;
    size_t n = 1;
    for (; n < course->n_threads; n++) {
        workers[n] = (Worker){course, run, &may_start, n, 0};
        if (pthread_create(&workers[n].id, NULL, work, &workers[n])) break;
    }
    course->n_threads = n;
    course->barrier.n = (int)n;
    atomic_store(&may_start, 1);
    unsigned control = flush_denormals(0);
    run(course, 0);
    flush_denormals(control);
    for (size_t i = 1; i < n; i++) pthread_join(workers[i].id, NULL);
}

static RunThread *best_run(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return run_thread_avx2;
#endif
    return run_thread_portable;
}

/* --- arguments ------------------------------------------------------------------------------------------------ */

enum { MOST_BUFFERS = 24 };

typedef struct {
    Py_buffer views[MOST_BUFFERS];
    size_t n;
    int has_failed;
} Buffers;

/* Give an array's memory of at least so many bytes; NULL for None, and after a failure. */
static void *memory_of(Buffers *buffers, PyObject *array, size_t n_bytes, int flags) {
    if (array == Py_None || buffers->has_failed) return NULL;
    Py_buffer *view = &buffers->views[buffers->n];
    if (PyObject_GetBuffer(array, view, flags)) {
        buffers->has_failed = 1;
        return NULL;
    }
    buffers->n++;
    if ((size_t)view->len < n_bytes) {
        PyErr_Format(PyExc_ValueError, "An array of at least %zu bytes is needed. Got %zd bytes instead.", n_bytes,
                     view->len);
        buffers->has_failed = 1;
        return NULL;
    }
    return view->buf;
}

static const void *input_of(Buffers *buffers, PyObject *array, size_t n_bytes) {
    return memory_of(buffers, array, n_bytes, PyBUF_SIMPLE);
}

static void *output_of(Buffers *buffers, PyObject *array, size_t n_bytes) {
    return memory_of(buffers, array, n_bytes, PyBUF_WRITABLE);
}

static int all_below(const int32_t *values, size_t n, size_t limit) {
    uint32_t largest = 0; /* a negative number is a large one */
    for (size_t i = 0; i < n; i++) largest = (uint32_t)values[i] > largest ? (uint32_t)values[i] : largest;
    return n == 0 || largest < limit;
}

static void read_table(Buffers *buffers, PyObject *given, const Course *course, size_t n_orders, Table *table) {
    PyObject *X, *y, *weights, *order;
    Py_ssize_t n_rows, batch_size;
    *table = (Table){.batch_size = 1};
    if (given == Py_None || buffers->has_failed) return;
    if (!PyArg_ParseTuple(given, "OpOOOnn", &X, &table->is_double, &y, &weights, &order, &n_rows, &batch_size)) {
        buffers->has_failed = 1;
        return;
    }
    size_t n = (size_t)n_rows, n_targets = course->loss == SPARSE_CROSS_ENTROPY ? 1 : course->n_outputs;
    table->X = input_of(buffers, X, n * course->n_inputs * (table->is_double ? sizeof(double) : sizeof(float)));
    table->y = input_of(buffers, y, n * n_targets * sizeof(float));
    table->weights = input_of(buffers, weights, n * sizeof(float));
    table->order = input_of(buffers, order, n_orders * n * sizeof(int32_t));
    table->n_rows = n;
    table->batch_size = (size_t)batch_size;
    if (buffers->has_failed) return;
    if (batch_size < 1 || (table->order && !all_below(table->order, n_orders * n, n)) ||
        (course->loss == SPARSE_CROSS_ENTROPY && !all_below(table->y, n, course->n_outputs))) {
        PyErr_SetString(PyExc_ValueError, "A batch has no rows, or a row or class is not among those there are.");
        buffers->has_failed = 1;
    }
}

static size_t largest_batch(const Table *table) {
    return table->batch_size < table->n_rows ? table->batch_size : table->n_rows;
}

static PyObject *run(PyObject *module, PyObject *arguments) {
    PyObject *parts, *part_rates, *penalties, *metrics, *values, *first, *second, *rates, *keys, *training, *validation,
        *results, *recorded;
    Py_ssize_t n_inputs, n_outputs, n_parts, n_metrics, n_epochs, n_threads;
    long long n_steps;
    double beta_1, beta_2;
    int is_portable;
    Course course = {0};
    Optimizer *optimizer = &course.optimizer;
    if (!PyArg_ParseTuple(arguments, "nnnOOOinO(iiddffL)OOOnOOOOOOnp", &n_inputs, &n_outputs, &n_parts, &parts,
                          &part_rates, &penalties, &course.loss, &n_metrics, &metrics, &optimizer->kind,
                          &optimizer->is_nesterov, &beta_1, &beta_2, &optimizer->epsilon,
                          &optimizer->weight_decay, &n_steps, &values, &first, &second, &n_epochs, &rates, &keys,
                          &training, &validation, &results, &recorded, &n_threads, &is_portable))
        return NULL;
    optimizer->n_steps = n_steps;
    optimizer->beta_1 = (float)beta_1;
    optimizer->beta_2 = (float)beta_2;
    optimizer->rest_1 = (float)(1 - beta_1);
    optimizer->rest_2 = (float)(1 - beta_2);
    course.n_inputs = (size_t)n_inputs;
    course.n_outputs = (size_t)n_outputs;
    course.n_metrics = (size_t)n_metrics;
    course.n_epochs = (size_t)n_epochs;
    course.n_threads = n_threads < 1 ? 1 : (size_t)n_threads;

    Buffers buffers = {.n = 0};
    Arena arena = {0};
    Worker *workers = NULL;
    PyObject *answer = NULL;
    Layout layout = {.n_parts = (size_t)n_parts};
    layout.parts = input_of(&buffers, parts, layout.n_parts * 3 * sizeof(int32_t));
    layout.part_rates = input_of(&buffers, part_rates, layout.n_parts * sizeof(float));
    layout.penalties = input_of(&buffers, penalties, 0);
    course.metrics = input_of(&buffers, metrics, course.n_metrics * 2 * sizeof(int32_t));
    course.rates = input_of(&buffers, rates, course.n_epochs * sizeof(float));
    course.keys = input_of(&buffers, keys, course.n_epochs * 2 * sizeof(uint32_t));
    course.results = output_of(&buffers, results, course.n_epochs * 2 * (2 + 2 * course.n_metrics) * sizeof(double));
    read_table(&buffers, training, &course, course.n_epochs, &course.training);
    read_table(&buffers, validation, &course, 1, &course.validation);
    if (buffers.has_failed) goto end;
    course.n_rows_at_most = largest_batch(&course.training);
    if (course.n_rows_at_most < largest_batch(&course.validation))
        course.n_rows_at_most = largest_batch(&course.validation);

    lay_out(&course, layout, &arena);
    size_t n_bytes = course.n_values * sizeof(float);
    float *given_values = output_of(&buffers, values, n_bytes);
    float *given_first = output_of(&buffers, first, n_bytes);
    float *given_second = output_of(&buffers, second, n_bytes);
    course.recorded = output_of(&buffers, recorded, course.n_epochs * n_bytes);
    if (buffers.has_failed) goto end;
    workers = malloc(course.n_threads * sizeof(Worker));
    char *memory = calloc(1, arena.n_used + LINE);
    if (!workers || !memory) {
        PyErr_NoMemory();
        free(memory);
        goto end;
    }
    arena = (Arena){memory + (LINE - (size_t)memory % LINE), 0};
    lay_out(&course, layout, &arena);
    Py_BEGIN_ALLOW_THREADS;
    pack_values(&course, given_values, course.packed);
    if (given_first) pack_values(&course, given_first, optimizer->first);
    else optimizer->first = NULL;
    if (given_second) pack_values(&course, given_second, optimizer->second);
    else optimizer->second = NULL;
    turn_kernels(&course);
    run_course(&course, workers, is_portable ? run_thread_portable : best_run());
    unpack_values(&course, course.packed, given_values);
    if (given_first) unpack_values(&course, optimizer->first, given_first);
    if (given_second) unpack_values(&course, optimizer->second, given_second);
    Py_END_ALLOW_THREADS;
    free(memory);
    answer = Py_None;
    Py_INCREF(answer);
end:
    free(workers);
    for (size_t i = 0; i < buffers.n; i++) PyBuffer_Release(&buffers.views[i]);
    return answer;
}

static PyMethodDef methods[] = {
    {"run", run, METH_VARARGS, "Train a dense network, or judge it; _native_run.py says how it is called."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "skneural._engine._native", "Dense networks trained by machine code.", 0, methods,
    NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__native(void) { return PyModule_Create(&definition); }
