/* What a dense network makes of rows, for Python: arrays are checked here, and no Python object is touched on the way. */
#include "arrays.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "prediction.h"
#include "processor.h"

enum { MOST_THREADS = 1024 };
enum { FROM_PANELS = 400 }; /* rows from which it pays to bring kernels into panels */
enum { LINE = 64 };

static size_t whole_panels(size_t n) { return (n + WIDTH - 1) / WIDTH; }

/* --- arguments ------------------------------------------------------------------------------------------------ */

/* Parts are three numbers each; values are the variables that they use, in turn. */
typedef struct {
    const int32_t *parts;
    const float *epsilons;
    PyObject *values;
    size_t n_parts, n_values, n_taken;
} Given;

static const float *next_value(Buffers *buffers, Given *given, const char *name, size_t n) {
    if (given->n_taken == given->n_values) fail(buffers, "there are too few arrays of weights");
    if (buffers->has_failed) return NULL;
    return array_of(buffers, PyTuple_GetItem(given->values, (Py_ssize_t)given->n_taken++), name, 'f', n, PyBUF_SIMPLE);
}

/* What the layers are, and from array to array whether there is as much as they read. Room for what a layer computes of
   its weights is counted in ``n_floats``. */
static void read_layers(Buffers *buffers, Given *given, Forward *forward, const float **gammas, size_t *n_floats) {
    size_t width = forward->n_inputs, widest = 0;
    if (given->parts[0] != PRODUCT || forward->encoding.sources) widest = width;
    for (size_t i = 0; i < given->n_parts && !buffers->has_failed; i++) {
        const int32_t *part = given->parts + 3 * i;
        Layer layer = {.kind = part[0], .function = part[1], .n_inputs = width, .n_outputs = width};
        gammas[i] = NULL;
        if (part[0] == PRODUCT) {
            if (part[1] < 1 || part[1] > MOST_UNITS) fail(buffers, "a product must have from 1 to 2**24 outputs");
            if (part[2] != 0 && part[2] != 1) fail(buffers, "a product has a bias (1) or has none (0)");
            if (buffers->has_failed) return;
            layer.n_outputs = width = (size_t)part[1];
            layer.kernel = next_value(buffers, given, "kernel", layer.n_inputs * width);
            if (part[2]) layer.bias = next_value(buffers, given, "bias", width);
            if (forward->n_rows >= FROM_PANELS || width < WIDTH)
                *n_floats += whole_panels(width) * WIDTH * layer.n_inputs;
            widest = width > widest ? width : widest;
        } else if (part[0] == ACTIVATION) {
            if (part[1] < LINEAR || part[1] > SOFTMAX) fail(buffers, "an activation is unknown");
        } else if (part[0] == NORMALIZATION) {
            if (((part[1] | part[2]) & ~1) != 0) fail(buffers, "a normalization has gamma and beta (1) or not (0)");
            if (!(given->epsilons[i] >= 0)) fail(buffers, "an epsilon must not be negative");
            if (buffers->has_failed) return;
            if (part[1]) gammas[i] = next_value(buffers, given, "gamma", width);
            if (part[2]) layer.beta = next_value(buffers, given, "beta", width);
            layer.mean = next_value(buffers, given, "mean", width);
            layer.factors = next_value(buffers, given, "variance", width);
            *n_floats += whole_panels(width) * WIDTH;
        } else {
            fail(buffers, "the kind of a part is unknown");
        }
        forward->layers[i] = layer;
    }
    if (given->n_taken != given->n_values) fail(buffers, "there are too many arrays of weights");
    forward->n_outputs = width;
    forward->stride = (whole_panels(widest) | 1) * WIDTH;
}

/* --- layers --------------------------------------------------------------------------------------------------- */

/* Bring a kernel into panels; one that is narrower than a panel gets columns of zeros. */
static void pack_kernel(const Layer *layer, float *panels) {
    size_t n = layer->n_outputs, n_copied = n < WIDTH ? n : WIDTH;
    for (size_t panel = 0; panel < whole_panels(n); panel++) {
        const float *from = layer->kernel + panel_start(panel, n);
        for (size_t row = 0; row < layer->n_inputs; row++, from += n, panels += WIDTH) {
            memcpy(panels, from, n_copied * sizeof(float));
            memset(panels + n_copied, 0, (WIDTH - n_copied) * sizeof(float));
        }
    }
}

/* Compute what layers need of their weights, in the room that was counted. */
static void prepare_layers(Forward *forward, const Given *given, const float **gammas, float *room) {
    for (size_t i = 0; i < forward->n_layers; i++) {
        Layer *layer = &forward->layers[i];
        size_t n_panels = whole_panels(layer->n_outputs);
        if (layer->kind == PRODUCT && (forward->n_rows >= FROM_PANELS || layer->n_outputs < WIDTH)) {
            pack_kernel(layer, room);
            layer->panels = room;
            room += n_panels * WIDTH * layer->n_inputs;
        } else if (layer->kind == NORMALIZATION) {
            for (size_t c = 0; c < layer->n_outputs; c++) {
                float factor = 1 / sqrtf(layer->factors[c] + given->epsilons[i]);
                room[c] = gammas[i] ? factor * gammas[i][c] : factor;
            }
            layer->factors = room;
            room += n_panels * WIDTH;
        }
    }
}

/* --- threads -------------------------------------------------------------------------------------------------- */

typedef struct {
    Forward *forward;
    PredictRows *predict_rows;
    float *room;
    pthread_t id;
} Worker;

static void *work(void *given) {
    Worker *worker = given;
    unsigned control = flush_denormals(0);
    worker->predict_rows(worker->forward, worker->room);
    flush_denormals(control);
    return NULL;
}

/* Predict with as many threads as can be had, this one among them. */
static void share_out(Forward *forward, Worker *workers, size_t n_threads, PredictRows *predict_rows, float *room) {
    size_t n = 0;
    for (size_t i = 0; i < n_threads; i++, room += 2 * forward->n_at_once * forward->stride)
        workers[i] = (Worker){forward, predict_rows, room, 0};
    while (n + 1 < n_threads && !pthread_create(&workers[n + 1].id, NULL, work, &workers[n + 1])) n++;
    work(&workers[0]);
    for (; n > 0; n--) pthread_join(workers[n].id, NULL);
}

/* --- the function --------------------------------------------------------------------------------------------- */

PyObject *predict(PyObject *module, PyObject *arguments) {
    (void)module;
    PyObject *parts, *epsilons, *encoding, *X, *outputs, *answer = NULL;
    Given given = {0};
    Py_ssize_t wanted;
    int is_portable;
    if (!PyArg_ParseTuple(arguments, "OOO!OOOnp", &parts, &epsilons, &PyTuple_Type, &given.values, &encoding, &X,
                          &outputs, &wanted, &is_portable))
        return NULL;
    given.n_values = (size_t)PyTuple_Size(given.values);
    Forward forward = {0};
    const float **gammas = NULL;
    Worker *workers = NULL;
    char *memory = NULL;
    Buffers buffers = {.views = malloc((given.n_values + 7) * sizeof(Py_buffer))};
    if (!buffers.views) return PyErr_NoMemory();
    size_t n, n_floats = 0, n_rows, n_outputs;
    given.parts = entries_of(&buffers, parts, "parts", 'i', &n, PyBUF_SIMPLE);
    given.n_parts = forward.n_layers = n / 3;
    if (n == 0 || n % 3) fail(&buffers, "each part has three numbers, and there must be one");
    given.epsilons = array_of(&buffers, epsilons, "epsilons", 'f', given.n_parts, PyBUF_SIMPLE);
    forward.X = table_of(&buffers, X, "X", &forward.n_rows, &forward.encoding.n_columns, PyBUF_SIMPLE);
    forward.outputs = table_of(&buffers, outputs, "outputs", &n_rows, &n_outputs, PyBUF_WRITABLE);
    if (forward.encoding.n_columns < 1 || forward.encoding.n_columns > INT32_MAX)
        fail(&buffers, "rows must have from 1 to 2**31 columns");
    forward.n_inputs = read_encoding(&buffers, encoding, &forward.encoding);
    if (buffers.has_failed) goto end;
    forward.layers = calloc(given.n_parts, sizeof(Layer));
    gammas = calloc(given.n_parts, sizeof(float *));
    if (!forward.layers || !gammas) {
        PyErr_NoMemory();
        goto end;
    }
    read_layers(&buffers, &given, &forward, gammas, &n_floats);
    if (n_rows != forward.n_rows || n_outputs != forward.n_outputs)
        fail(&buffers, "there must be room for each output of each row");
    if (buffers.has_failed) goto end;

    size_t n_blocks = (forward.n_rows + BLOCK - 1) / BLOCK;
    size_t n_threads = wanted < 1 ? 1 : wanted > MOST_THREADS ? MOST_THREADS : (size_t)wanted;
    if (n_threads > n_blocks) n_threads = n_blocks ? n_blocks : 1;
    forward.n_at_once = n_blocks > 1 ? BLOCK : forward.n_rows ? forward.n_rows : 1;
    size_t n_bytes = (n_floats + n_threads * 2 * forward.n_at_once * forward.stride) * sizeof(float) + LINE;
    workers = malloc(n_threads * sizeof(Worker));
    memory = calloc(1, n_bytes);
    if (!workers || !memory) {
        PyErr_Format(PyExc_MemoryError, "The native engine needs %zu MB to predict.", n_bytes >> 20);
        goto end;
    }
    float *room = (float *)(memory + (LINE - (size_t)memory % LINE));
    PyThreadState *thread = PyEval_SaveThread();
    prepare_layers(&forward, &given, gammas, room);
    share_out(&forward, workers, n_threads, is_portable ? predict_rows_portable : BEST(predict_rows), room + n_floats);
    PyEval_RestoreThread(thread);
    answer = Py_None;
    Py_INCREF(answer);
end:
    free(memory);
    free(workers);
    free(gammas);
    free(forward.layers);
    let_go(&buffers);
    free(buffers.views);
    return answer;
}
