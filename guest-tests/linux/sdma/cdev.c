// SPDX-License-Identifier: GPL-2.0
/* /dev/sdmaN: what a process does with a queue. sdma_uapi.h says what it may expect. */
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/uaccess.h>

#include "sdma.h"

/* A queue that no other file has, or NULL. */
static struct sdma_queue *take_queue(struct sdma_device *sdma)
{
	for (unsigned int i = 0; i < sdma->queues; i++)
		if (!test_and_set_bit_lock(i, sdma->in_use))
			return &sdma->queue[i];
	return NULL;
}

static int sdma_open(struct inode *inode, struct file *file)
{
	struct sdma_device *sdma = container_of(inode->i_cdev, struct sdma_device, cdev);
	struct sdma_queue *queue;
	int ret;

	down_read(&sdma->live);
	ret = sdma_check_life(sdma);
	if (ret)
		goto out;
	queue = take_queue(sdma);
	if (!queue) {
		ret = -EBUSY;
		goto out;
	}
	mutex_lock(&queue->lock);
	queue->mapping = file->f_mapping;
	mutex_unlock(&queue->lock);
	file->private_data = queue;
	ret = stream_open(inode, file);
out:
	up_read(&sdma->live);
	return ret;
}

/*
 * The last of the file: the process may have called close(), may be exiting, or may have been
 * killed with its address space gone already and the device still at work in what was there.
 */
static int sdma_release(struct inode *inode, struct file *file)
{
	struct sdma_queue *queue = file->private_data;
	struct sdma_device *sdma = queue->sdma;
	bool reusable;

	down_read(&sdma->live);
	mutex_lock(&queue->lock);
	sdma_queue_unbind(queue);
	queue->mapping = NULL;
	reusable = !queue->stuck;
	mutex_unlock(&queue->lock);
	up_read(&sdma->live);
	if (reusable)
		clear_bit_unlock(queue->number, sdma->in_use);
	return 0;
}

/* A child that was forked has the file too, but the queue works in its parent's memory. */
static int check_owner(struct sdma_queue *queue)
{
	return queue->mm && queue->mm != current->mm ? -EPERM : 0;
}

static int get_info(struct sdma_queue *queue, void *argument)
{
	sdma_device_info(queue->sdma, argument);
	return 0;
}

static int set_up(struct sdma_queue *queue, void *argument)
{
	return sdma_queue_bind(queue, argument);
}

static int stop(struct sdma_queue *queue, void *argument)
{
	int ret = check_owner(queue);

	if (!ret)
		sdma_queue_unbind(queue);
	return ret ?: queue->stuck ? -EIO : 0;
}

static int get_status(struct sdma_queue *queue, void *argument)
{
	int ret = check_owner(queue);

	if (!ret)
		sdma_queue_status(queue, argument);
	return ret;
}

static int copy_in_kernel(struct sdma_queue *queue, void *argument)
{
	/* It takes memory of the kernel and time of the processor, both at the caller's choice. */
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	return sdma_kernel_copy(queue, argument);
}

static const struct sdma_command {
	unsigned int number;
	int (*run)(struct sdma_queue *queue, void *argument);
} commands[] = {
	{ SDMA_IOC_INFO, get_info },
	{ SDMA_IOC_SETUP, set_up },
	{ SDMA_IOC_STOP, stop },
	{ SDMA_IOC_STATUS, get_status },
	{ SDMA_IOC_KERNEL_COPY, copy_in_kernel },
};

/* Copies from and to the process are made without locks: they may fault, on the doorbell even. */
static long sdma_ioctl(struct file *file, unsigned int number, unsigned long address)
{
	union {
		struct sdma_info info;
		struct sdma_setup setup;
		struct sdma_status status;
		struct sdma_kernel_copy copy;
	} argument = {};
	struct sdma_queue *queue = file->private_data;
	struct sdma_device *sdma = queue->sdma;
	const struct sdma_command *command = NULL;
	void __user *user = (void __user *)address;
	size_t size = _IOC_SIZE(number);
	int ret;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (commands[i].number == number)
			command = &commands[i];
	if (!command)
		return -ENOTTY;
	if (_IOC_DIR(number) & _IOC_WRITE && copy_from_user(&argument, user, size))
		return -EFAULT;

	down_read(&sdma->live);
	ret = sdma_check_life(sdma);
	if (!ret) {
		mutex_lock(&queue->lock);
		ret = command->run(queue, &argument);
		mutex_unlock(&queue->lock);
	}
	up_read(&sdma->live);

	if (!ret && _IOC_DIR(number) & _IOC_READ && copy_to_user(user, &argument, size))
		ret = -EFAULT;
	return ret;
}

/* The page is put in place when it is touched, so that it can be taken away and come back. */
static vm_fault_t doorbell_fault(struct vm_fault *vmf)
{
	struct sdma_queue *queue = vmf->vma->vm_file->private_data;
	vm_fault_t ret = VM_FAULT_SIGBUS;
	phys_addr_t page;

	down_read(&queue->doorbell_lock);
	if (queue->rings) {
		page = pci_resource_start(queue->sdma->pdev, SDMA_BAR_DOORBELLS) +
		       (phys_addr_t)queue->number * SDMA_DOORBELL_SIZE;
		ret = vmf_insert_pfn(vmf->vma, vmf->address, PHYS_PFN(page));
	}
	up_read(&queue->doorbell_lock);
	return ret;
}

static const struct vm_operations_struct doorbell_ops = {
	.fault = doorbell_fault,
};

static int sdma_mmap(struct file *file, struct vm_area_struct *vma)
{
	if (vma->vm_pgoff || vma_pages(vma) != 1 || !(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	/* Not for children: the queue works in this address space. */
	vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_page_prot = pgprot_noncached(vma->vm_page_prot);
	vma->vm_ops = &doorbell_ops;
	return 0;
}

/* Also when there is nothing more to wait for: the caller finds out why by itself. */
static bool has_news(struct sdma_queue *queue)
{
	return atomic64_read(&queue->events) || !READ_ONCE(queue->enabled);
}

static ssize_t sdma_read(struct file *file, char __user *user, size_t size, loff_t *position)
{
	struct sdma_queue *queue = file->private_data;
	u64 events;
	int ret;

	if (size < sizeof(events))
		return -EINVAL;
	if (!has_news(queue)) {
		if (file->f_flags & O_NONBLOCK)
			return -EAGAIN;
		ret = wait_event_interruptible(queue->wait, has_news(queue));
		if (ret)
			return ret;
	}
	events = atomic64_xchg(&queue->events, 0);
	/* The queue has been stopped, or the device is gone: the end of this file. */
	if (!events)
		return 0;
	if (copy_to_user(user, &events, sizeof(events)))
		return -EFAULT;
	return sizeof(events);
}

static __poll_t sdma_poll(struct file *file, poll_table *table)
{
	struct sdma_queue *queue = file->private_data;
	__poll_t mask = 0;

	poll_wait(file, &queue->wait, table);
	if (atomic64_read(&queue->events))
		mask |= EPOLLIN | EPOLLRDNORM;
	if (!READ_ONCE(queue->enabled))
		mask |= EPOLLHUP;
	return mask;
}

const struct file_operations sdma_fops = {
	.owner = THIS_MODULE,
	.open = sdma_open,
	.release = sdma_release,
	.unlocked_ioctl = sdma_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = sdma_mmap,
	.read = sdma_read,
	.poll = sdma_poll,
};
