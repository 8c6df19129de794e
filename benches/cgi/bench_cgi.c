/* The least a CGI program can do: static, no allocation but the echo's body. Run by mod_cgid. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

static char chunk[16384];

static void put(const char *data, size_t left)
{
    while (left > 0) {
        ssize_t n = write(STDOUT_FILENO, data, left);

        if (n <= 0)
            _exit(1);
        data += n;
        left -= (size_t)n;
    }
}

static void put_head(size_t length)
{
    char head[96];
    int n = snprintf(head, sizeof head,
                     "Content-Type: text/plain\r\nContent-Length: %zu\r\n\r\n", length);

    put(head, (size_t)n);
}

static int echo(void)
{
    const char *length = getenv("CONTENT_LENGTH");
    size_t size = length ? strtoul(length, NULL, 10) : 0, used = 0;
    char *body = malloc(size + 1);

    if (!body)
        return 1;
    while (used < size) {
        ssize_t n = read(STDIN_FILENO, body + used, size - used);

        if (n <= 0)
            return 1;
        used += (size_t)n;
    }
    put_head(size);
    put(body, size);
    return 0;
}

static int stream(void)
{
    static const char head[] = "Content-Type: text/plain\r\n\r\n";
    int i;

    memset(chunk, 'x', sizeof chunk);
    put(head, sizeof head - 1);
    for (i = 0; i < 64; i++)
        put(chunk, sizeof chunk);
    return 0;
}

static int list_environ(void)
{
    char **entry;

    puts("Content-Type: text/plain\r\n\r");
    for (entry = environ; *entry; entry++)
        puts(*entry);
    return fflush(stdout) != 0;
}

int main(void)
{
    static const char text[] = "Hello, world\n";
    const char *path = getenv("PATH_INFO");

    if (path && !strcmp(path, "/hello")) {
        put_head(sizeof text - 1);
        put(text, sizeof text - 1);
        return 0;
    }
    if (path && !strcmp(path, "/echo"))
        return echo();
    if (path && !strcmp(path, "/stream"))
        return stream();
    if (path && !strcmp(path, "/environ"))
        return list_environ();
    puts("Status: 404 Not Found\r\nContent-Type: text/plain\r\n\r");
    return 0;
}
