/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 16550A (National Semiconductor PC16550D data sheet).
 */
#include "devices/serial.h"

#include <linux/serial_reg.h>

#include "devices/base.h"
#include "devices/bus.h"
#include "devices/machine.h"

#define PORTS	      8
#define DEFAULT_RATE  12 /* 115200 / 12 = 9600 */
#define FIFO_ENABLED  0xc0
#define MSR_CONNECTED (UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS)

/* The highest pending interrupt source, as the interrupt identification register names it. */
static uint8_t pending(const struct serial *serial)
{
	if (serial->ier & UART_IER_RLSI && serial->overrun)
		return UART_IIR_RLSI;
	if (serial->ier & UART_IER_RDI && serial->count)
		return UART_IIR_RDI;
	if (serial->ier & UART_IER_THRI && serial->thr_empty_pending)
		return UART_IIR_THRI;
	return UART_IIR_NO_INT;
}

/* Lock held. OUT2 gates the line on PCs. */
static void update_irq(struct serial *serial)
{
	bool irq = pending(serial) != UART_IIR_NO_INT && serial->mcr & UART_MCR_OUT2;

	if (irq == serial->irq)
		return;
	serial->irq = irq;
	machine_set_irq(serial->machine, serial->gsi, irq);
}

/* Lock held. Returns false if there was no room. */
static bool push(struct serial *serial, uint8_t byte)
{
	if (serial->count == SERIAL_FIFO)
		return false;
	serial->fifo[(serial->head + serial->count) % SERIAL_FIFO] = byte;
	serial->count++;
	return true;
}

static uint8_t pop(struct serial *serial)
{
	uint8_t byte = serial->fifo[serial->head];

	if (!serial->count)
		return 0;
	serial->head = (serial->head + 1) % SERIAL_FIFO;
	serial->count--;
	return byte;
}

static size_t receive(void *context, const uint8_t *bytes, size_t len)
{
	struct serial *serial = context;
	size_t taken = 0;

	pthread_mutex_lock(&serial->lock);
	/* In loopback the line in is cut off. */
	if (serial->mcr & UART_MCR_LOOP)
		taken = len;
	while (taken < len && push(serial, bytes[taken]))
		taken++;
	serial->counters.in += taken;
	update_irq(serial);
	pthread_mutex_unlock(&serial->lock);
	return taken;
}

/* --- Registers --- */

static void transmit(struct serial *serial, uint8_t byte)
{
	if (serial->mcr & UART_MCR_LOOP) {
		if (!push(serial, byte))
			serial->overrun = true;
	} else if (serial->holding) {
		/* The driver did not ask whether the transmitter is empty. */
		serial->held = byte;
		serial->counters.dropped++;
		return;
	} else if (serial->chardev && chardev_write(serial->chardev, &byte, 1) != 1) {
		/* The transmitter stays full until the host takes it: the guest waits, we do not.
		 */
		serial->held = byte;
		serial->holding = true;
		serial->thr_empty_pending = false;
		return;
	} else {
		serial->counters.out++;
	}
	/* The byte is gone at once: the transmitter is empty again. */
	serial->thr_empty_pending = true;
}

static uint8_t modem_status(const struct serial *serial)
{
	if (!(serial->mcr & UART_MCR_LOOP))
		return MSR_CONNECTED;
	return (uint8_t)((serial->mcr & UART_MCR_RTS ? UART_MSR_CTS : 0) |
			 (serial->mcr & UART_MCR_DTR ? UART_MSR_DSR : 0) |
			 (serial->mcr & UART_MCR_OUT1 ? UART_MSR_RI : 0) |
			 (serial->mcr & UART_MCR_OUT2 ? UART_MSR_DCD : 0));
}

static uint8_t line_status(struct serial *serial)
{
	uint8_t lsr = serial->holding ? 0 : UART_LSR_TEMT | UART_LSR_THRE;

	if (serial->count)
		lsr |= UART_LSR_DR;
	if (serial->overrun)
		lsr |= UART_LSR_OE;
	serial->overrun = false;
	return lsr;
}

static uint8_t identify(struct serial *serial)
{
	uint8_t iir = pending(serial);

	/* Reading the register acknowledges an empty transmitter, if that is what it tells. */
	if (iir == UART_IIR_THRI)
		serial->thr_empty_pending = false;
	return iir | (serial->fcr & UART_FCR_ENABLE_FIFO ? FIFO_ENABLED : 0);
}

static uint8_t read_register(struct serial *serial, unsigned int at)
{
	bool divisor = serial->lcr & UART_LCR_DLAB;

	switch (at) {
	case UART_RX:
		return divisor ? (uint8_t)serial->divisor : pop(serial);
	case UART_IER:
		return divisor ? (uint8_t)(serial->divisor >> 8) : serial->ier;
	case UART_IIR:
		return identify(serial);
	case UART_LCR:
		return serial->lcr;
	case UART_MCR:
		return serial->mcr;
	case UART_LSR:
		return line_status(serial);
	case UART_MSR:
		return modem_status(serial);
	default:
		return serial->scratch;
	}
}

static void write_fcr(struct serial *serial, uint8_t value)
{
	serial->fcr = value;
	if (value & UART_FCR_CLEAR_RCVR || !(value & UART_FCR_ENABLE_FIFO))
		serial->count = 0;
}

static void write_register(struct serial *serial, unsigned int at, uint8_t value)
{
	bool divisor = serial->lcr & UART_LCR_DLAB;

	switch (at) {
	case UART_TX:
		if (divisor)
			serial->divisor = (uint16_t)((serial->divisor & 0xff00) | value);
		else
			transmit(serial, value);
		break;
	case UART_IER:
		if (divisor) {
			serial->divisor = (uint16_t)((serial->divisor & 0xff) | value << 8);
			break;
		}
		/* Enabling the interrupt of an empty transmitter raises it. */
		if (value & UART_IER_THRI && !(serial->ier & UART_IER_THRI))
			serial->thr_empty_pending = !serial->holding;
		serial->ier = value & 0xf;
		break;
	case UART_FCR:
		write_fcr(serial, value);
		break;
	case UART_LCR:
		serial->lcr = value;
		break;
	case UART_MCR:
		serial->mcr = value & 0x1f;
		break;
	case UART_SCR:
		serial->scratch = value;
		break;
	default: /* line and modem status are read-only */
		break;
	}
}

static void access_port(void *context, struct bus_access *access)
{
	struct serial *serial = context;
	bool resume;

	if (access->size != 1)
		return;
	pthread_mutex_lock(&serial->lock);
	resume = serial->count == SERIAL_FIFO;
	if (access->is_write)
		write_register(serial, (unsigned int)access->offset, (uint8_t)access->value);
	else
		access->value = read_register(serial, (unsigned int)access->offset);
	resume = resume && serial->count < SERIAL_FIFO;
	update_irq(serial);
	pthread_mutex_unlock(&serial->lock);
	if (resume && serial->chardev)
		chardev_resume(serial->chardev);
}

/* There is room for output again: the byte that waited goes out. */
static void writable(void *context)
{
	struct serial *serial = context;

	pthread_mutex_lock(&serial->lock);
	if (serial->holding) {
		serial->holding = false;
		transmit(serial, serial->held);
		update_irq(serial);
	}
	pthread_mutex_unlock(&serial->lock);
}

static const struct chardev_ops chardev_ops = { .receive = receive, .writable = writable };

int serial_init(struct serial *serial, struct machine *machine, struct bus *pio, uint16_t port,
		unsigned int gsi, struct chardev *chardev)
{
	struct bus_region region = { .base = port,
				     .size = PORTS,
				     .handler = access_port,
				     .context = serial,
				     .name = "serial" };

	memset(serial, 0, sizeof(*serial));
	pthread_mutex_init(&serial->lock, NULL);
	serial->machine = machine;
	serial->chardev = chardev;
	serial->gsi = gsi;
	serial->divisor = DEFAULT_RATE;
	if (chardev)
		chardev_attach(chardev, &chardev_ops, serial);
	return bus_add(pio, &region);
}

void serial_destroy(struct serial *serial)
{
	pthread_mutex_destroy(&serial->lock);
}

void serial_reset(struct serial *serial)
{
	pthread_mutex_lock(&serial->lock);
	serial->ier = serial->fcr = serial->lcr = serial->mcr = serial->scratch = 0;
	serial->divisor = DEFAULT_RATE;
	serial->thr_empty_pending = false;
	serial->overrun = false;
	serial->count = 0;
	update_irq(serial);
	pthread_mutex_unlock(&serial->lock);
	/* It may have waited for room. */
	if (serial->chardev)
		chardev_resume(serial->chardev);
}
