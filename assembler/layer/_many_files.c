/* Plain files by the hundred: found in directories, and written to a tar, while the interpreter's lock is released.
 *
 * A file is plain if it is a regular one with one name, no extended attributes, and no holes worth a word. Whatever is
 * not, or goes wrong, is left to the Python beside this (many_files.py says where), which gives the same bytes, is
 * easier to read, and raises the errors. So nothing here reports one but a lack of memory.
 *
 * All that other threads could change is held in immutable objects (tuples, bytes) while the lock is released.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#define _GNU_SOURCE
#include <Python.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { BLOCK = 512, NAME = 100, PREFIX = 155 };
enum { MOST_THREADS = 16, MOST_FILES = 4096, MOST_OPEN = 64, INTERNED = 1024 };
enum { FEW = 4, MANY = 32 }; /* files for which a directory is opened, and threads are started */
#define MAX_7 07777777LL
#define MAX_11 077777777777LL

/* ---- Work that threads share -------------------------------------------------------------------------------- */

typedef void Work(void *items, size_t index);

typedef struct {
    Work *work;
    void *items;
    size_t count;
    atomic_size_t next;
} Shared;

static void *take_turns(void *argument)
{
    Shared *shared = argument;
    size_t index;
    while ((index = atomic_fetch_add(&shared->next, 1)) < shared->count)
        shared->work(shared->items, index);
    return NULL;
}

/* Does `work` on each of `count` items, in up to `threads` threads; this one is enough where no other can be had. */
static void share(Work *work, void *items, size_t count, int threads)
{
    Shared shared = {work, items, count, 0};
    pthread_t others[MOST_THREADS];
    int started = 0;
    while (started < threads - 1 && started < MOST_THREADS && (size_t)started + 1 < count
           && pthread_create(&others[started], NULL, take_turns, &shared) == 0)
        started++;
    take_turns(&shared);
    while (started)
        pthread_join(others[--started], NULL);
}

/* ---- scan ---------------------------------------------------------------------------------------------------- */

typedef struct {
    size_t name; /* where it begins in the directory's names */
    unsigned short length;
    bool plain;
    unsigned mode, uid, gid;
    long long size, mtime;
} Found;

typedef struct {
    const char *prefix, *path; /* of its children in the rootfs; its own on this machine */
    size_t prefix_length, path_length;
    long long large;
    Found *found;
    char *names;
    size_t count, room, used, capacity;
    bool read; /* to its end, without an error */
} Directory;

/* `path` holds the directory and a slash, `at` bytes. */
static bool is_plain(const struct stat *status, long long large, char *path, size_t at, const char *name)
{
    if (!S_ISREG(status->st_mode) || status->st_nlink != 1)
        return false;
    if (status->st_size > large && (long long)status->st_blocks * 1024 < status->st_size)
        return false;
    size_t length = strlen(name);
    if (at + length + 1 > PATH_MAX)
        return false;
    memcpy(path + at, name, length + 1);
    ssize_t attributes = llistxattr(path, NULL, 0);
    return attributes == 0 || (attributes < 0 && errno == ENOTSUP);
}

/* Another file of the directory, whose name is not copied yet; NULL without memory. */
static Found *another(Directory *directory, size_t length)
{
    if (directory->count == directory->room) {
        size_t room = directory->room ? directory->room * 2 : 32;
        Found *more = realloc(directory->found, room * sizeof(Found));
        if (!more)
            return NULL;
        directory->found = more;
        directory->room = room;
    }
    while (directory->used + length > directory->capacity) {
        size_t capacity = directory->capacity ? directory->capacity * 2 : 1024;
        char *more = realloc(directory->names, capacity);
        if (!more)
            return NULL;
        directory->names = more;
        directory->capacity = capacity;
    }
    return &directory->found[directory->count++];
}

static void list_directory(void *items, size_t index)
{
    Directory *directory = (Directory *)items + index;
    char path[PATH_MAX];
    size_t at = directory->path_length;
    if (at + 2 > PATH_MAX || strlen(directory->path) != at)
        return;
    int descriptor = open(directory->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0)
        return;
    DIR *stream = fdopendir(descriptor);
    if (!stream) {
        close(descriptor);
        return;
    }
    memcpy(path, directory->path, at);
    path[at++] = '/';
    struct dirent *entry;
    while (errno = 0, (entry = readdir(stream))) {
        const char *name = entry->d_name;
        if (name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2])))
            continue;
        size_t length = strlen(name);
        Found *found = another(directory, length);
        if (!found)
            break;
        *found = (Found){.name = directory->used, .length = (unsigned short)length};
        memcpy(directory->names + directory->used, name, length);
        directory->used += length;
        struct stat status;
        if (entry->d_type == DT_DIR || fstatat(descriptor, name, &status, AT_SYMLINK_NOFOLLOW) < 0
            || !is_plain(&status, directory->large, path, at, name))
            continue;
        found->plain = true;
        found->mode = status.st_mode & 07777;
        found->uid = status.st_uid;
        found->gid = status.st_gid;
        found->size = status.st_size;
        found->mtime = status.st_mtim.tv_sec;
    }
    directory->read = !entry && errno == 0;
    closedir(stream);
}

/* The numbers that many files have are one object each, and most lookups find it. */
typedef struct {
    PyObject *objects[INTERNED];
    long long values[INTERNED];
} Numbers;

static PyObject *number(Numbers *numbers, long long value)
{
    size_t slot = (unsigned long long)value % INTERNED;
    if (!numbers->objects[slot] || numbers->values[slot] != value) {
        PyObject *fresh = PyLong_FromLongLong(value);
        if (!fresh)
            return NULL;
        Py_XDECREF(numbers->objects[slot]);
        numbers->objects[slot] = fresh;
        numbers->values[slot] = value;
    }
    return Py_NewRef(numbers->objects[slot]);
}

static void forget(Numbers *numbers)
{
    for (int slot = 0; slot < INTERNED; slot++)
        Py_XDECREF(numbers->objects[slot]);
}

/* A Node: what `found` says of it, and the rest as in `model`, the node of an empty plain file. */
static PyObject *node_of(const Found *found, PyObject *model, Numbers *numbers)
{
    enum { KIND, MODE, UID, GID, MTIME, SIZE, FIELDS = 10 };
    const long long values[] = {[MODE] = found->mode, [UID] = found->uid, [GID] = found->gid,
                                [MTIME] = found->mtime, [SIZE] = found->size};
    static newfunc make;
    if (!make)
        make = (newfunc)PyType_GetSlot(&PyTuple_Type, Py_tp_new);
    PyObject *fields = PyTuple_New(FIELDS);
    if (!fields)
        return NULL;
    for (int field = 0; field < FIELDS; field++) {
        bool told = MODE <= field && field <= SIZE;
        PyObject *value = told ? number(numbers, values[field]) : Py_NewRef(PyTuple_GetItem(model, field));
        if (!value || PyTuple_SetItem(fields, field, value) < 0) {
            Py_DECREF(fields);
            return NULL;
        }
    }
    PyObject *arguments = PyTuple_Pack(1, fields), *node = NULL;
    Py_DECREF(fields);
    if (arguments)
        node = make(Py_TYPE(model), arguments, NULL);
    Py_XDECREF(arguments);
    return node;
}

/* (plain files' nodes by path, names of all else); None for a directory that could not be read to its end. */
static PyObject *listing(const Directory *directory, PyObject *model, Numbers *numbers)
{
    if (!directory->read)
        return Py_NewRef(Py_None);
    PyObject *nodes = PyDict_New(), *names = PyList_New(0), *both = NULL;
    bool fine = nodes && names;
    for (size_t index = 0; fine && index < directory->count; index++) {
        const Found *found = &directory->found[index];
        size_t prefix = found->plain ? directory->prefix_length : 0;
        PyObject *text = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(prefix + found->length));
        PyObject *node = text && found->plain ? node_of(found, model, numbers) : NULL;
        if (text) {
            memcpy(PyBytes_AsString(text), directory->prefix, prefix);
            memcpy(PyBytes_AsString(text) + prefix, directory->names + found->name, found->length);
        }
        if (found->plain)
            fine = node && PyDict_SetItem(nodes, text, node) == 0;
        else
            fine = text && PyList_Append(names, text) == 0;
        Py_XDECREF(text);
        Py_XDECREF(node);
    }
    if (fine)
        both = PyTuple_Pack(2, nodes, names);
    Py_XDECREF(nodes);
    Py_XDECREF(names);
    return both;
}

static const char SCAN[] =
    "scan(directories, model, large, threads)\n--\n\n"
    "What is in each of ``directories``, a tuple of (prefix of its children's paths, the directory on this machine).\n\n"
    "For each a pair: the nodes of plain files by their path, and the names of all else; or None where the directory\n"
    "could not be read. Files larger than ``large`` bytes that have holes are not plain.";

static PyObject *scan(PyObject *module, PyObject *arguments)
{
    (void)module;
    PyObject *pairs, *model, *result = NULL;
    long long large;
    int threads;
    if (!PyArg_ParseTuple(arguments, "O!O!Li", &PyTuple_Type, &pairs, &PyTuple_Type, &model, &large, &threads))
        return NULL;   /* "O!" takes subclasses as well: a Node is a tuple */
    if (PyTuple_Size(model) != 10)
        return PyErr_Format(PyExc_TypeError, "the model is not a node");
    size_t count = (size_t)PyTuple_Size(pairs);
    Directory *directories = calloc(count ? count : 1, sizeof(Directory));
    if (!directories)
        return PyErr_NoMemory();
    for (size_t index = 0; index < count; index++) {
        Directory *directory = &directories[index];
        char *prefix, *path;
        Py_ssize_t prefix_length, path_length;
        PyObject *pair = PyTuple_GetItem(pairs, (Py_ssize_t)index);
        if (!PyTuple_Check(pair) || PyTuple_Size(pair) != 2
            || PyBytes_AsStringAndSize(PyTuple_GetItem(pair, 0), &prefix, &prefix_length) < 0
            || PyBytes_AsStringAndSize(PyTuple_GetItem(pair, 1), &path, &path_length) < 0) {
            if (!PyErr_Occurred())
                PyErr_Format(PyExc_TypeError, "a directory is not a pair");
            free(directories);
            return NULL;
        }
        *directory = (Directory){.prefix = prefix, .prefix_length = (size_t)prefix_length, .path = path,
                                 .path_length = (size_t)path_length, .large = large};
    }
    Py_BEGIN_ALLOW_THREADS
    share(list_directory, directories, count, threads);
    Py_END_ALLOW_THREADS
    Numbers *numbers = calloc(1, sizeof(Numbers));
    result = numbers ? PyList_New((Py_ssize_t)count) : PyErr_NoMemory();
    for (size_t index = 0; index < count; index++) {
        if (result) {
            PyObject *one = listing(&directories[index], model, numbers);
            if (!one || PyList_SetItem(result, (Py_ssize_t)index, one) < 0)
                Py_CLEAR(result);
        }
        free(directories[index].found);
        free(directories[index].names);
    }
    if (numbers)
        forget(numbers);
    free(numbers);
    free(directories);
    return result;
}

/* ---- pack ---------------------------------------------------------------------------------------------------- */

typedef struct {
    const char *path, *file; /* NULL: no content */
    size_t path_length, split; /* how much of the path is ustar's prefix, without the slash behind it */
    long long mode, uid, gid, size, mtime, offset;
    char *member; /* where its header begins */
    int directory; /* what `file` is relative to */
    bool written;
} Member;

static size_t padded(long long size)
{
    return (size_t)((size + BLOCK - 1) / BLOCK * BLOCK);
}

static bool between(PyObject *tuple, Py_ssize_t index, long long most, long long *value)
{
    PyObject *object = PyTuple_GetItem(tuple, index);
    if (!PyLong_Check(object))
        return false;
    *value = PyLong_AsLongLong(object);
    if (*value == -1 && PyErr_Occurred())
        PyErr_Clear();
    return 0 <= *value && *value <= most;
}

/* As tar_header._split, for the names of files; false for what a PAX record must hold. */
static bool split(Member *member)
{
    member->split = 0;
    if (member->path_length <= NAME)
        return true;
    if (member->path_length > PREFIX + 1 + NAME)
        return false;
    size_t until = member->path_length - 1 < PREFIX + 1 ? member->path_length - 1 : PREFIX + 1;
    const char *slash = memrchr(member->path, '/', until);
    if (!slash || slash == member->path)
        return false;
    member->split = (size_t)(slash - member->path);
    return member->path_length - member->split - 1 <= NAME;
}

/* Where the bytes of `member` are; false for what only Python knows. */
static bool has_content(PyObject *content, Member *member)
{
    member->file = NULL;
    if (content == Py_None)
        return member->size == 0;
    if (!PyTuple_Check(content) || PyTuple_Size(content) != 2)
        return false;
    PyObject *file = PyTuple_GetItem(content, 0);
    if (!PyBytes_Check(file))
        return false;
    member->file = PyBytes_AsString(file);
    return strlen(member->file) == (size_t)PyBytes_Size(file) && between(content, 1, MAX_11, &member->offset);
}

/* Whether `entry` is a plain file whose header is one block: only then `member` says what it is. */
static bool is_member(PyObject *entry, PyObject *kind, Member *member)
{
    enum { PATH, NODE, LINK, CONTENT, ENTRY_FIELDS };
    enum { KIND, MODE, UID, GID, MTIME, SIZE, TARGET, DEVICE, XATTRS, LINKED, NODE_FIELDS };
    if (!PyTuple_Check(entry) || PyTuple_Size(entry) != ENTRY_FIELDS)
        return false;
    PyObject *path = PyTuple_GetItem(entry, PATH), *node = PyTuple_GetItem(entry, NODE);
    if (!PyBytes_Check(path) || !PyTuple_Check(node) || PyTuple_Size(node) != NODE_FIELDS
        || PyTuple_GetItem(entry, LINK) != Py_None)
        return false;
    PyObject *xattrs = PyTuple_GetItem(node, XATTRS);
    if (PyTuple_GetItem(node, KIND) != kind || !PyTuple_Check(xattrs) || PyTuple_Size(xattrs))
        return false;
    member->path = PyBytes_AsString(path);
    member->path_length = (size_t)PyBytes_Size(path);
    return between(node, MODE, MAX_7, &member->mode) && between(node, UID, MAX_7, &member->uid)
        && between(node, GID, MAX_7, &member->gid) && between(node, SIZE, MAX_11, &member->size)
        && between(node, MTIME, MAX_11, &member->mtime) && split(member)
        && has_content(PyTuple_GetItem(entry, CONTENT), member);
}

static void octal(char *field, int digits, long long value)
{
    field[digits] = '\0';
    while (digits--) {
        field[digits] = (char)('0' + (value & 7));
        value >>= 3;
    }
}

/* As tar_header.header. */
static void write_header(const Member *member)
{
    char *block = member->member;
    memset(block, 0, BLOCK);
    size_t name = member->split ? member->split + 1 : 0;
    memcpy(block, member->path + name, member->path_length - name);
    octal(block + 100, 7, member->mode);
    octal(block + 108, 7, member->uid);
    octal(block + 116, 7, member->gid);
    octal(block + 124, 11, member->size);
    octal(block + 136, 11, member->mtime);
    memcpy(block + 148, "        0", 9);
    memcpy(block + 257, "ustar\0" "00", 8);
    octal(block + 329, 7, 0);
    octal(block + 337, 7, 0);
    memcpy(block + 345, member->path, member->split);
    unsigned sum = 0;
    for (int index = 0; index < BLOCK; index++)
        sum += (unsigned char)block[index];
    octal(block + 148, 6, sum);
}

static void write_member(void *items, size_t index)
{
    Member *member = (Member *)items + index;
    if (!member->file) {
        write_header(member);
        member->written = true;
        return;
    }
    int descriptor = openat(member->directory, member->file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (descriptor < 0)
        return;
    write_header(member);
    char *content = member->member + BLOCK;
    size_t size = (size_t)member->size, done = 0;
    while (done < size) {
        ssize_t got = pread(descriptor, content + done, size - done, member->offset + (off_t)done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        done += (size_t)got;
    }
    close(descriptor);
    memset(content + done, 0, padded(member->size) - done);
    member->written = done == size;
}

static size_t directory_length(const char *file)
{
    const char *slash = file ? strrchr(file, '/') : NULL;
    return slash ? (size_t)(slash - file) : 0;
}

/* Files that lie side by side are opened from their directory, so that the kernel walks its path only once. Returns how
 * many directories are open. */
static int open_directories(Member *members, size_t count, int *open_ones)
{
    int opened = 0;
    for (size_t first = 0, end; first < count && opened < MOST_OPEN; first = end) {
        const char *file = members[first].file;
        size_t length = directory_length(file);
        end = first + 1;
        while (length && end < count && directory_length(members[end].file) == length
               && memcmp(members[end].file, file, length) == 0)
            end++;
        char path[PATH_MAX];
        if (end - first < FEW || length >= PATH_MAX)
            continue;
        memcpy(path, file, length);
        path[length] = '\0';
        int descriptor = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (descriptor < 0)
            continue;
        for (size_t index = first; index < end; index++) {
            members[index].directory = descriptor;
            members[index].file += length + 1;
        }
        open_ones[opened++] = descriptor;
    }
    return opened;
}

static const char PACK[] =
    "pack(entries, first, kind, buffer, threads)\n--\n\n"
    "Writes those of ``entries`` (a tuple) from ``first`` on into ``buffer`` that are plain files of ``kind`` and fit.\n\n"
    "It stops at the first that is none, does not fit, or can't be read as its node says. Returns where each that was\n"
    "written ends in ``buffer``, as a list.";

static PyObject *pack(PyObject *module, PyObject *arguments)
{
    (void)module;
    PyObject *entries, *kind;
    Py_ssize_t first;
    Py_buffer buffer;
    int threads;
    if (!PyArg_ParseTuple(arguments, "O!nOw*i", &PyTuple_Type, &entries, &first, &kind, &buffer, &threads))
        return NULL;
    PyObject *ends = NULL;
    Member *members = malloc(MOST_FILES * sizeof(Member));
    size_t count = 0, at = 0, written = 0;
    if (!members) {
        PyErr_NoMemory();
        goto done;
    }
    for (Py_ssize_t index = first < 0 ? 0 : first; index < PyTuple_Size(entries) && count < MOST_FILES; index++) {
        Member *member = &members[count];
        if (!is_member(PyTuple_GetItem(entries, index), kind, member))
            break;
        if ((size_t)member->size > (size_t)buffer.len || at + BLOCK + padded(member->size) > (size_t)buffer.len)
            break;
        member->member = (char *)buffer.buf + at;
        member->directory = AT_FDCWD;
        member->written = false;
        at += BLOCK + padded(member->size);
        count++;
    }
    Py_BEGIN_ALLOW_THREADS
    int open_ones[MOST_OPEN], opened = open_directories(members, count, open_ones);
    share(write_member, members, count, count < MANY ? 1 : threads);
    while (opened)
        close(open_ones[--opened]);
    Py_END_ALLOW_THREADS
    while (written < count && members[written].written)
        written++;
    ends = PyList_New((Py_ssize_t)written);
    at = 0;
    for (size_t index = 0; ends && index < written; index++) {
        at += BLOCK + padded(members[index].size);
        PyObject *end = PyLong_FromSize_t(at);
        if (!end || PyList_SetItem(ends, (Py_ssize_t)index, end) < 0)
            Py_CLEAR(ends);
    }
done:
    free(members);
    PyBuffer_Release(&buffer);
    return ends;
}

/* ---- likeness ------------------------------------------------------------------------------------------------ */

static size_t run(const char *text, size_t length, bool hexadecimal)
{
    size_t count = 0;
    while (count < length && ((text[count] >= '0' && text[count] <= '9')
                              || (hexadecimal && text[count] >= 'a' && text[count] <= 'f')))
        count++;
    return count;
}

static const char LIKENESS[] =
    "likeness(path)\n--\n\n"
    "The key of ``entry_order.likeness``: extension and base name, without its numbers.";

static PyObject *likeness(PyObject *module, PyObject *path)
{
    enum { DIGEST = 6 }; /* so many hexadecimal digits are a number even without a decimal one */
    (void)module;
    char *text;
    Py_ssize_t whole;
    if (PyBytes_AsStringAndSize(path, &text, &whole) < 0)
        return NULL;
    const char *end = text + whole, *slash = memrchr(text, '/', (size_t)whole);
    const char *name = slash ? slash + 1 : text;
    const char *dot = memrchr(name, '.', (size_t)(end - name));
    size_t extension = dot && dot > name ? (size_t)(end - dot - 1) : 0;
    char *key = malloc(extension + 1 + (size_t)(end - name)), *at = key;
    if (!key)
        return PyErr_NoMemory();
    memcpy(at, end - extension, extension);
    at += extension;
    *at++ = '\0';
    while (name < end) {
        size_t left = (size_t)(end - name), number = run(name, left, true);
        if (number < DIGEST)
            number = run(name, left, false);
        if (number)
            name += number;
        else
            *at++ = *name++;
    }
    PyObject *result = PyBytes_FromStringAndSize(key, at - key);
    free(key);
    return result;
}

static PyMethodDef METHODS[] = {
    {"scan", scan, METH_VARARGS, SCAN},
    {"pack", pack, METH_VARARGS, PACK},
    {"likeness", likeness, METH_O, LIKENESS},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, "_many_files", NULL, -1, METHODS, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__many_files(void)
{
    return PyModule_Create(&MODULE);
}
