/* The limit: forwards octets between two connections and never looks at them. Linux, epoll, one thread.
 *
 * The first connection is paired with the second, the third with the fourth, and so on. What the other end's socket does
 * not take at once is kept, and the sender is not read until it is gone. usage: forwarder PORT */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CHUNK = 65536, ENDS = 65536, EVENTS = 512 };

static struct end {
    int peer;          /* the other end's descriptor, -1 without one */
    char *kept;        /* what this end's socket has not taken yet */
    size_t from, to;   /* where it lies in `kept` */
} ends[ENDS];

static int poller;

static int poller, waiting = -1; /* `waiting` is a connection that has no peer yet */

/* Reads an end while its peer's socket takes everything, and waits for room while something is kept for it. */
static void watch(int fd, int how) {
    int peer = ends[fd].peer;
    unsigned wanted = (ends[fd].to ? EPOLLOUT : 0) | (peer >= 0 && ends[peer].to ? 0 : EPOLLIN);
    struct epoll_event event = {.events = wanted, .data.fd = fd};
    epoll_ctl(poller, how, fd, &event);
}

static void end_of(int fd) {
    int peer = ends[fd].peer;
    free(ends[fd].kept);
    ends[fd] = (struct end){.peer = -1};
    if (fd == waiting) waiting = -1;
    close(fd);
    if (peer >= 0) {
        ends[peer].peer = -1;
        end_of(peer);
    }
}

static void arrived(int fd) {
    static char chunk[CHUNK];
    int peer = ends[fd].peer;
    ssize_t got, sent;
    if (peer >= 0 && ends[peer].to) { end_of(fd); return; } /* not read now, so this is a reset */
    got = recv(fd, chunk, sizeof chunk, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) { end_of(fd); return; }
    if (peer < 0) return; /* nobody is there to be told */
    sent = send(peer, chunk, got, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) { end_of(fd); return; }
    if (sent < 0) sent = 0;
    if (sent == got) return;
    if (!ends[peer].kept && !(ends[peer].kept = malloc(CHUNK))) abort();
    memcpy(ends[peer].kept, chunk + sent, got - sent);
    ends[peer].from = 0;
    ends[peer].to = got - sent;
    watch(fd, EPOLL_CTL_MOD);
    watch(peer, EPOLL_CTL_MOD);
}

static void writable(int fd) {
    struct end *end = &ends[fd];
    ssize_t sent = send(fd, end->kept + end->from, end->to - end->from, MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) return;
    if (sent < 0) { end_of(fd); return; }
    end->from += sent;
    if (end->from < end->to) return;
    end->from = end->to = 0;
    watch(fd, EPOLL_CTL_MOD);
    watch(end->peer, EPOLL_CTL_MOD);
}

static void welcome(int fd) {
    int on = 1;
    if (fd >= ENDS) { close(fd); return; }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ends[fd] = (struct end){.peer = waiting};
    if (waiting >= 0) ends[waiting].peer = fd;
    waiting = waiting >= 0 ? -1 : fd;
    watch(fd, EPOLL_CTL_ADD);
}

int main(int argc, char **argv) {
    int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event events[EVENTS], ready = {.events = EPOLLIN, .data.fd = listener};
    socklen_t size = sizeof here;

    here.sin_port = htons(argc > 1 ? atoi(argv[1]) : 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&here, size) || listen(listener, 4096)) { perror("listen"); return 1; }
    getsockname(listener, (struct sockaddr *)&here, &size);
    poller = epoll_create1(0);
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &ready);
    printf("listening on 127.0.0.1:%d\n", ntohs(here.sin_port));
    fflush(stdout);

    for (;;) {
        int count = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) welcome(fd);
                continue;
            }
            /* One that was closed in this round keeps nothing and is not open: recv says EBADF, or EAGAIN when reused. */
            if (events[i].events & EPOLLOUT && ends[fd].to) writable(fd);
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) arrived(fd);
        }
    }
}
