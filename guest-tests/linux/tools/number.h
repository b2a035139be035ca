/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Numbers on the command lines of the tools. */
#ifndef TOOLS_NUMBER_H
#define TOOLS_NUMBER_H

/* @text as a number from 1 to @most; else says what @option takes, and exits with status 2. */
unsigned int number(const char *option, const char *text, unsigned int most);

#endif
