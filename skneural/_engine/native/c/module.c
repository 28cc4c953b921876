/* Training runs of dense networks for Python: arrays are checked here, and no Python object is touched in a run. */
#include "arrays.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "course.h"

#include "checks.h"
#include "processor.h"

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
    course->scratch =
        take(arena, course->n_threads * (whole_panels(rows.n) * WIDTH + (n_rows + 1) * STRIP), sizeof(float));
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

/* --- looking up ------------------------------------------------------------------------------------------------- */

/* What a run needs to ask Python, now and then, whether it may go on. */
struct Watch {
    PyObject *ask;          /* raises an error to end the run, or None */
    PyThreadState *thread; /* that has called, and holds no lock in a run */
    double asked_at;
};

enum { LOOKS_A_SECOND = 20 };

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Whether a signal, or who has called, ends the run. The error stays in the thread until the run is over. */
int must_stop(Watch *watch) {
    double time = now();
    if (time - watch->asked_at < 1.0 / LOOKS_A_SECOND) return 0;
    PyEval_RestoreThread(watch->thread);
    int must = PyErr_CheckSignals() != 0;
    if (!must && watch->ask != Py_None) {
        PyObject *answer = PyObject_CallNoArgs(watch->ask);
        must = answer == NULL;
        Py_XDECREF(answer);
    }
    watch->thread = PyEval_SaveThread();
    watch->asked_at = now();
    return must;
}

/* --- arguments ------------------------------------------------------------------------------------------------ */

enum { MOST_BUFFERS = 24 };

/* A table is (X, y, weights or None, order or None, batch size); how many rows and columns it has its arrays tell. */
static void read_table(Buffers *buffers, PyObject *given, Course *course, size_t n_orders, Table *table) {
    PyObject *X, *y, *weights, *order;
    Py_ssize_t batch_size;
    *table = (Table){.batch_size = 1};
    if (given == Py_None || buffers->has_failed) return;
    if (!PyTuple_Check(given)) {
        fail(buffers, "rows must be a tuple or None");
        return;
    }
    if (!PyArg_ParseTuple(given, "OOOOn", &X, &y, &weights, &order, &batch_size)) {
        buffers->has_failed = 1;
        return;
    }
    int is_sparse = course->loss == SPARSE_CROSS_ENTROPY;
    size_t n_targets = is_sparse ? 1 : course->n_outputs, n_y, n_X;
    table->y = entries_of(buffers, y, "y", is_sparse ? 'i' : 'f', &n_y, PyBUF_SIMPLE);
    if (buffers->has_failed) return;
    size_t n = n_y / n_targets;
    if (n_y % n_targets || n > INT32_MAX) fail(buffers, "y does not have a target for each output of each row");
    if (batch_size < 1) fail(buffers, "a batch must have at least one row");
    if (!buffers->has_failed) {
        Py_buffer *view = &buffers->views[buffers->n];
        if (PyObject_GetBuffer(X, view, PyBUF_FORMAT)) {
            buffers->has_failed = 1;
            return;
        }
        buffers->n++;
        char kind = kind_of(view);
        table->is_double = kind == 'd';
        if (kind != 'f' && kind != 'd') fail(buffers, "X must be an array of float32 or float64");
        n_X = (size_t)(view->len / view->itemsize);
        table->X = view->buf;
        if (n == 0 || n_X % n || n_X / n < 1) fail(buffers, "X does not have as many rows as y");
        else if (course->encoding.n_columns && course->encoding.n_columns != n_X / n)
            fail(buffers, "rows have another number of columns");
        else course->encoding.n_columns = n_X / n;
    }
    table->weights = optional(buffers, weights, "sample_weight", 'f', n, PyBUF_SIMPLE);
    table->order = optional(buffers, order, "order", 'i', n_orders * n, PyBUF_SIMPLE);
    table->n_rows = n;
    table->batch_size = (size_t)batch_size;
    if (buffers->has_failed) return;
    if (table->order && !all_below(table->order, n_orders * n, n)) fail(buffers, "a row is not among those there are");
    if (is_sparse && !all_below(table->y, n, course->n_outputs)) fail(buffers, "a class is not among those there are");
}

static size_t largest_batch(const Table *table) {
    return table->batch_size < table->n_rows ? table->batch_size : table->n_rows;
}

/* Everything that a run reads or writes; which arrays there are is in the order of the arguments. */
typedef struct {
    PyObject *parts, *part_rates, *penalties, *metrics, *values, *first, *second, *rates, *keys, *training, *validation,
        *results, *recorded, *n_steps, *encoding;
} Given;

/* The one place that looks at what Python gives, before anything of it is used. */
static Layout read_arguments(Buffers *buffers, const Given *given, Course *course) {
    Layout layout = {0};
    size_t n, n_rates;
    layout.parts = entries_of(buffers, given->parts, "parts", 'i', &n, PyBUF_SIMPLE);
    layout.n_parts = n / 3;
    if (n % 3) fail(buffers, "each part has three numbers");
    layout.part_rates = array_of(buffers, given->part_rates, "rates of parts", 'f', layout.n_parts, PyBUF_SIMPLE);
    course->metrics = entries_of(buffers, given->metrics, "metrics", 'i', &n, PyBUF_SIMPLE);
    course->n_metrics = n / 2;
    if (n % 2) fail(buffers, "each metric has two numbers");
    course->rates = entries_of(buffers, given->rates, "learning rates", 'f', &n_rates, PyBUF_SIMPLE);
    course->n_epochs = n_rates;
    if (buffers->has_failed) return layout;
    const char *reason = why_not_parts(layout.parts, layout.n_parts, layout.part_rates);
    if (!reason)
        reason =
            why_not_loss(course->loss, layout.parts[3 * (layout.n_parts - 1) + 1], course->metrics, course->n_metrics);
    if (!reason) reason = why_not_optimizer(&course->optimizer, given->first != Py_None, given->second != Py_None);
    if (reason) {
        fail(buffers, reason);
        return layout;
    }
    course->n_outputs = count_outputs(layout.parts, layout.n_parts);
    size_t n_products = count_products(layout.parts, layout.n_parts), n_sums = 2 + 2 * course->n_metrics;
    layout.penalties = array_of(buffers, given->penalties, "penalties", 'f', 4 * n_products, PyBUF_SIMPLE);
    course->keys = array_of(buffers, given->keys, "dropout keys", 'I', 2 * course->n_epochs, PyBUF_SIMPLE);
    course->results = array_of(buffers, given->results, "results", 'd', course->n_epochs * 2 * n_sums, PyBUF_WRITABLE);
    read_table(buffers, given->training, course, course->n_epochs, &course->training);
    read_table(buffers, given->validation, course, 1, &course->validation);
    course->n_inputs = read_encoding(buffers, given->encoding, &course->encoding);
    if (!course->n_inputs) fail(buffers, "there must be rows to learn from or to be judged on");
    course->n_rows_at_most = largest_batch(&course->training);
    if (course->n_rows_at_most < largest_batch(&course->validation))
        course->n_rows_at_most = largest_batch(&course->validation);
    return layout;
}

static PyObject *run(PyObject *module, PyObject *arguments) {
    Given given;
    PyObject *ask;
    Py_ssize_t n_threads;
    double beta_1, beta_2;
    int is_portable;
    Course course = {0};
    Optimizer *optimizer = &course.optimizer;
    if (!PyArg_ParseTuple(arguments, "OOOiO(iiddff)OOOOOOOOOOOnpO", &given.parts, &given.part_rates, &given.penalties,
                          &course.loss, &given.metrics, &optimizer->kind, &optimizer->is_nesterov, &beta_1, &beta_2,
                          &optimizer->epsilon, &optimizer->weight_decay, &given.values, &given.first, &given.second,
                          &given.rates, &given.keys, &given.training, &given.validation, &given.results,
                          &given.recorded, &given.n_steps, &given.encoding, &n_threads, &is_portable, &ask))
        return NULL;
    optimizer->beta_1 = (float)beta_1;
    optimizer->beta_2 = (float)beta_2;
    optimizer->rest_1 = (float)(1 - beta_1);
    optimizer->rest_2 = (float)(1 - beta_2);
    course.n_threads = n_threads < 1 ? 1 : n_threads > MOST_THREADS ? MOST_THREADS : (size_t)n_threads;

    Py_buffer views[MOST_BUFFERS];
    Buffers buffers = {.views = views};
    Arena arena = {0};
    Worker *workers = NULL;
    PyObject *answer = NULL;
    Layout layout = read_arguments(&buffers, &given, &course);
    if (buffers.has_failed) goto end;
    lay_out(&course, layout, &arena);
    size_t n = course.n_values;
    float *given_values = array_of(&buffers, given.values, "weights", 'f', n, PyBUF_WRITABLE);
    float *given_first = optional(&buffers, given.first, "first moments", 'f', n, PyBUF_WRITABLE);
    float *given_second = optional(&buffers, given.second, "second moments", 'f', n, PyBUF_WRITABLE);
    course.recorded = optional(&buffers, given.recorded, "recorded weights", 'f', course.n_epochs * n, PyBUF_WRITABLE);
    int64_t *n_steps = array_of(&buffers, given.n_steps, "number of steps", 'q', 1, PyBUF_WRITABLE);
    if (buffers.has_failed) goto end;
    optimizer->n_steps = *n_steps;
    workers = malloc(course.n_threads * sizeof(Worker));
    char *memory = calloc(1, arena.n_used + LINE);
    if (!workers || !memory) {
        PyErr_Format(PyExc_MemoryError,
                     "The native engine needs %zu MB for a batch of %zu rows. A smaller batch_size needs less.",
                     arena.n_used >> 20, course.n_rows_at_most);
        free(memory);
        goto end;
    }
    arena = (Arena){memory + (LINE - (size_t)memory % LINE), 0};
    lay_out(&course, layout, &arena);
    Watch watch = {.ask = ask, .asked_at = now()};
    course.watch = &watch;
    watch.thread = PyEval_SaveThread();
    pack_values(&course, given_values, course.packed);
    if (given_first) pack_values(&course, given_first, optimizer->first);
    else optimizer->first = NULL;
    if (given_second) pack_values(&course, given_second, optimizer->second);
    else optimizer->second = NULL;
    turn_kernels(&course);
    run_course(&course, workers, is_portable ? run_thread_portable : BEST(run_thread));
    unpack_values(&course, course.packed, given_values);
    if (given_first) unpack_values(&course, optimizer->first, given_first);
    if (given_second) unpack_values(&course, optimizer->second, given_second);
    *n_steps = optimizer->n_steps;
    PyEval_RestoreThread(watch.thread);
    free(memory);
    if (!course.is_stopped) {
        answer = Py_None;
        Py_INCREF(answer);
    }
end:
    free(workers);
    let_go(&buffers);
    return answer;
}

PyObject *predict(PyObject *module, PyObject *arguments); /* prediction.c */

static PyObject *instruction_set(PyObject *module, PyObject *nothing) {
    (void)module, (void)nothing;
    return PyUnicode_FromString(BEST(run_thread) == run_thread_portable ? "portable" : "avx2");
}

static PyMethodDef methods[] = {
    {"run", run, METH_VARARGS, "Train a dense network, or judge it; run.py says how it is called."},
    {"predict", predict, METH_VARARGS, "Give what a dense network makes of rows; forward.py says how it is called."},
    {"instruction_set", instruction_set, METH_NOARGS, "Tell which instructions runs use here: avx2 or portable."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "skneural._engine.native._native",
    .m_doc = "Dense networks trained by machine code.",
    .m_methods = methods,
};

#define NUMBER(NAME) {#NAME, NAME}

/* The numbers of kinds, for Python, which has them from here only. */
static const struct {
    const char *name;
    long number;
} numbers[] = {
    /* clang-format off */
    NUMBER(PRODUCT), NUMBER(ACTIVATION), NUMBER(DROPOUT), NUMBER(NORMALIZATION),
    NUMBER(LINEAR), NUMBER(RELU), NUMBER(SIGMOID), NUMBER(TANH), NUMBER(SOFTPLUS), NUMBER(SOFTMAX),
    NUMBER(SPARSE_CROSS_ENTROPY), NUMBER(CATEGORICAL_CROSS_ENTROPY), NUMBER(BINARY_CROSS_ENTROPY),
    NUMBER(SQUARED_DEVIATION), NUMBER(ABSOLUTE_DEVIATION),
    NUMBER(SPARSE_ACCURACY), NUMBER(CATEGORICAL_ACCURACY), NUMBER(BINARY_ACCURACY), NUMBER(SQUARED_ERROR),
    NUMBER(ABSOLUTE_ERROR), NUMBER(SIGN_ACCURACY),
    NUMBER(ADAM), NUMBER(SGD), NUMBER(RMSPROP),
    NUMBER(CLIPPED), NUMBER(RAMP), NUMBER(EQUAL), NUMBER(MISSING), NUMBER(WAVE),
    /* clang-format on */
};

PyMODINIT_FUNC PyInit__native(void) {
    PyObject *module = PyModule_Create(&definition);
    for (size_t i = 0; module && i < sizeof(numbers) / sizeof(*numbers); i++)
        if (PyModule_AddIntConstant(module, numbers[i].name, numbers[i].number)) Py_CLEAR(module);
    return module;
}
