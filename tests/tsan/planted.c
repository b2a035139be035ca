/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A race, for ThreadSanitizer to find: if this program ends well, the others prove nothing.
 */
#include <pthread.h>
#include <stdio.h>

static unsigned long shared;

static void *add(void *context)
{
	for (unsigned int i = 0; i < 100000; i++)
		shared++;
	return context;
}

int main(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, add, NULL))
		return 0;
	add(NULL);
	pthread_join(thread, NULL);
	printf("%lu\n", shared);
	return 0;
}
