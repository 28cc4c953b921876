#include "arrays.h"

void fail(Buffers *buffers, const char *reason) {
    if (!buffers->has_failed) PyErr_Format(PyExc_ValueError, "The native engine cannot run this: %s.", reason);
    buffers->has_failed = 1;
}

char kind_of(const Py_buffer *view) {
    const char *format = view->format ? view->format : "B";
    const char here = *(const char *)&(const short){1} ? '<' : '>';
    if (*format == here || *format == '=' || *format == '@') format++; /* h5py names the order of bytes, for one */
    if (*format == '\0' || format[1]) return '\0';
    if (*format == 'l') return view->itemsize == 4 ? 'i' : 'q';
    if (*format == 'L' && view->itemsize == 4) return 'I';
    return *format;
}

void *entries_of(Buffers *buffers, PyObject *array, const char *name, char kind, size_t *n, int flags) {
    *n = 0;
    if (buffers->has_failed) return NULL;
    Py_buffer *view = &buffers->views[buffers->n];
    if (PyObject_GetBuffer(array, view, flags | PyBUF_FORMAT)) {
        buffers->has_failed = 1;
        return NULL;
    }
    buffers->n++;
    char given = kind_of(view);
    if (given != kind) {
        PyErr_Format(PyExc_ValueError, "The array '%s' must have the kind '%c'. Got '%s' instead.", name, kind,
                     view->format ? view->format : "bytes");
        buffers->has_failed = 1;
        return NULL;
    }
    *n = (size_t)(view->len / view->itemsize);
    return view->buf;
}

static void check_length(Buffers *buffers, const char *name, size_t n, size_t expected) {
    if (buffers->has_failed || n == expected) return;
    PyErr_Format(PyExc_ValueError, "The array '%s' must have %zu entries. Got %zu instead.", name, expected, n);
    buffers->has_failed = 1;
}

void *array_of(Buffers *buffers, PyObject *array, const char *name, char kind, size_t expected, int flags) {
    size_t n;
    void *memory = entries_of(buffers, array, name, kind, &n, flags);
    check_length(buffers, name, n, expected);
    return buffers->has_failed ? NULL : memory;
}

void *optional(Buffers *buffers, PyObject *array, const char *name, char kind, size_t expected, int flags) {
    return array == Py_None ? NULL : array_of(buffers, array, name, kind, expected, flags);
}

int all_below(const int32_t *values, size_t n, size_t limit) {
    uint32_t largest = 0; /* a negative number is a large one */
    for (size_t i = 0; i < n; i++) largest = (uint32_t)values[i] > largest ? (uint32_t)values[i] : largest;
    return n == 0 || largest < limit;
}

float *table_of(Buffers *buffers, PyObject *array, const char *name, size_t *n_rows, size_t *n_columns, int flags) {
    size_t n;
    float *memory = entries_of(buffers, array, name, 'f', &n, flags | PyBUF_ND);
    *n_rows = *n_columns = 0;
    if (buffers->has_failed) return NULL;
    const Py_buffer *view = &buffers->views[buffers->n - 1];
    if (view->ndim != 2) {
        PyErr_Format(PyExc_ValueError, "The array '%s' must have two axes. Got %d instead.", name, view->ndim);
        buffers->has_failed = 1;
        return NULL;
    }
    *n_rows = (size_t)view->shape[0];
    *n_columns = (size_t)view->shape[1];
    return memory;
}

size_t read_encoding(Buffers *buffers, PyObject *given, Encoding *encoding) {
    PyObject *counts, *sources, *numbers;
    if (given == Py_None || buffers->has_failed) return encoding->n_columns;
    if (!PyTuple_Check(given)) {
        fail(buffers, "an encoding must be a tuple or None");
        return 0;
    }
    if (!PyArg_ParseTuple(given, "OOO", &counts, &sources, &numbers)) {
        buffers->has_failed = 1;
        return 0;
    }
    size_t n;
    const int32_t *of_kinds = array_of(buffers, counts, "numbers of each kind", 'i', N_ENCODINGS, PyBUF_SIMPLE);
    encoding->sources = entries_of(buffers, sources, "columns of an encoding", 'i', &n, PyBUF_SIMPLE);
    if (buffers->has_failed) return 0;
    int64_t sum = 0;
    for (int kind = 0; kind < N_ENCODINGS; kind++) {
        if (of_kinds[kind] < 0) fail(buffers, "an encoding cannot have less than no numbers of a kind");
        encoding->ends[kind] = (size_t)(sum += of_kinds[kind]);
    }
    if (n < 1 || n > MOST_UNITS || sum != (int64_t)n) fail(buffers, "an encoding does not say what each number is");
    if (!all_below(encoding->sources, n, encoding->n_columns)) fail(buffers, "a column is not among those there are");
    const float *values = array_of(buffers, numbers, "numbers of an encoding", 'f', 4 * n, PyBUF_SIMPLE);
    if (buffers->has_failed) return 0;
    encoding->places = values;
    encoding->factors = values + n;
    encoding->shifts = values + 2 * n;
    encoding->gains = values + 3 * n;
    return n;
}

void let_go(Buffers *buffers) {
    for (size_t i = 0; i < buffers->n; i++) PyBuffer_Release(&buffers->views[i]);
}
