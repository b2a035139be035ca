/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netpeer: the host's end of the network benchmark. Serves one connection after the other until it
 * is ended.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net.h"

static char buffer[NET_CHUNK];

static void serve(int fd)
{
	ssize_t len;
	int one = 1;
	char kind;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (recv(fd, &kind, 1, 0) != 1)
		return;
	do {
		if (kind == NET_SOURCE)
			len = send(fd, buffer, sizeof(buffer), 0);
		else
			len = recv(fd, buffer, sizeof(buffer), 0);
		if (kind == NET_ECHO && len > 0)
			len = send(fd, buffer, (size_t)len, 0);
	} while (len > 0);
}

int main(void)
{
	struct sockaddr_in self = { .sin_family = AF_INET, .sin_port = htons(NET_PORT) };
	int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1, fd;

	signal(SIGPIPE, SIG_IGN);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&self, sizeof(self)) || listen(listener, 4)) {
		perror("netpeer");
		return 1;
	}
	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		serve(fd);
		close(fd);
	}
	return 0;
}
