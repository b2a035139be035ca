// SPDX-License-Identifier: GPL-2.0
/*
 * Driver of sdma, the shared-virtual-addressing DMA engine: the PCI function.
 *
 * PASID, ATS and PRI are enabled by the IOMMU core, before a driver is bound. Without an IOMMU that
 * can do SVA the device still copies for the kernel.
 */
#include <linux/idr.h>
#include <linux/interrupt.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/io.h>
#include <linux/module.h>

#include "sdma.h"

static dev_t sdma_numbers;
static DEFINE_IDA(sdma_ida);

static char *sdma_devnode(const struct device *dev, umode_t *mode)
{
	/* A queue reaches what its process reaches, and nothing else. */
	if (mode)
		*mode = 0666;
	return NULL;
}

static const struct class sdma_class = {
	.name = "sdma",
	.devnode = sdma_devnode,
};

int sdma_check_life(struct sdma_device *sdma)
{
	lockdep_assert_held(&sdma->live);
	switch (sdma->life) {
	case SDMA_LIVE:
		return 0;
	case SDMA_RESETTING:
		return -EAGAIN;
	default:
		return -ENODEV;
	}
}

void sdma_device_info(struct sdma_device *sdma, struct sdma_info *info)
{
	info->version = readl(sdma->regs + SDMA_VERSION);
	info->queues = sdma->queues;
	info->operations = readl(sdma->regs + SDMA_OPERATIONS);
	info->status = readl(sdma->regs + SDMA_STATUS);
	info->length_max = readq(sdma->regs + SDMA_LENGTH_MAX);
	info->atc_entries = readl(sdma->regs + SDMA_ATC_ENTRIES);
	info->vectors = sdma->vectors;
}

static ssize_t queues_show(struct device *dev, struct device_attribute *attr, char *text)
{
	struct sdma_device *sdma = container_of(dev, struct sdma_device, dev);

	return sysfs_emit(text, "%u\n", sdma->queues);
}
static DEVICE_ATTR_RO(queues);

static ssize_t queues_in_use_show(struct device *dev, struct device_attribute *attr, char *text)
{
	struct sdma_device *sdma = container_of(dev, struct sdma_device, dev);

	return sysfs_emit(text, "%u\n", bitmap_weight(sdma->in_use, sdma->queues));
}
static DEVICE_ATTR_RO(queues_in_use);

static ssize_t atc_entries_show(struct device *dev, struct device_attribute *attr, char *text)
{
	struct sdma_device *sdma = container_of(dev, struct sdma_device, dev);
	int ret;

	down_read(&sdma->live);
	ret = sdma_check_life(sdma)
		      ?: sysfs_emit(text, "%u\n", readl(sdma->regs + SDMA_ATC_ENTRIES));
	up_read(&sdma->live);
	return ret;
}

static ssize_t atc_entries_store(struct device *dev, struct device_attribute *attr,
				 const char *text, size_t length)
{
	struct sdma_device *sdma = container_of(dev, struct sdma_device, dev);
	unsigned int entries;
	int ret;

	ret = kstrtouint(text, 0, &entries);
	if (ret)
		return ret;
	down_read(&sdma->live);
	ret = sdma_check_life(sdma);
	/* Also a way to empty it. The device rounds the number, which reads back. */
	if (!ret)
		writel(entries, sdma->regs + SDMA_ATC_ENTRIES);
	up_read(&sdma->live);
	return ret ?: length;
}
static DEVICE_ATTR_RW(atc_entries);

static struct attribute *sdma_attrs[] = {
	&dev_attr_queues.attr,
	&dev_attr_queues_in_use.attr,
	&dev_attr_atc_entries.attr,
	NULL,
};
ATTRIBUTE_GROUPS(sdma);

/* With fewer vectors than queues, several queues share one; a waiter looks for itself anyway. */
static irqreturn_t sdma_interrupt(int irq, void *data)
{
	struct sdma_vector *vector = data;
	struct sdma_device *sdma = vector->sdma;

	for (unsigned int i = vector->number; i < sdma->queues; i += sdma->vectors) {
		atomic64_inc(&sdma->queue[i].events);
		wake_up_all(&sdma->queue[i].wait);
	}
	return IRQ_HANDLED;
}

static int set_up_interrupts(struct sdma_device *sdma)
{
	int count = pci_alloc_irq_vectors(sdma->pdev, 1, sdma->queues, PCI_IRQ_MSIX);
	int ret;

	if (count < 0) {
		pci_info(sdma->pdev, "no interrupts (%d), completions have to be polled\n", count);
		return 0;
	}
	sdma->vectors = count;
	for (unsigned int i = 0; i < sdma->vectors; i++) {
		sdma->vector[i].sdma = sdma;
		sdma->vector[i].number = i;
		ret = pci_request_irq(sdma->pdev, i, sdma_interrupt, NULL, &sdma->vector[i],
				      "%s-%u", dev_name(&sdma->dev), i);
		if (ret) {
			while (i--)
				pci_free_irq(sdma->pdev, i, &sdma->vector[i]);
			pci_free_irq_vectors(sdma->pdev);
			return ret;
		}
	}
	return 0;
}

static void free_interrupts(struct sdma_device *sdma)
{
	for (unsigned int i = 0; i < sdma->vectors; i++)
		pci_free_irq(sdma->pdev, i, &sdma->vector[i]);
	if (sdma->vectors)
		pci_free_irq_vectors(sdma->pdev);
}

static int map_device(struct sdma_device *sdma)
{
	struct pci_dev *pdev = sdma->pdev;
	u32 magic, version;
	int ret;

	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	sdma->regs = pcim_iomap_region(pdev, SDMA_BAR_REGISTERS, "sdma");
	if (IS_ERR(sdma->regs))
		return PTR_ERR(sdma->regs);
	sdma->doorbells = pcim_iomap_region(pdev, SDMA_BAR_DOORBELLS, "sdma");
	if (IS_ERR(sdma->doorbells))
		return PTR_ERR(sdma->doorbells);

	magic = readl(sdma->regs + SDMA_ID);
	version = readl(sdma->regs + SDMA_VERSION);
	sdma->queues = readl(sdma->regs + SDMA_QUEUES);
	if (magic != SDMA_MAGIC || version >> 16 != SDMA_VERSION_1_0 >> 16) {
		pci_err(pdev, "not a device of version 1 (id %#x, version %#x)\n", magic, version);
		return -ENODEV;
	}
	if (!sdma->queues || sdma->queues > SDMA_QUEUES_MAX ||
	    pci_resource_len(pdev, SDMA_BAR_REGISTERS) < SDMA_REGISTERS_SIZE ||
	    pci_resource_len(pdev, SDMA_BAR_DOORBELLS) <
		    (resource_size_t)sdma->queues * SDMA_DOORBELL_SIZE) {
		pci_err(pdev, "%u queues do not fit its BARs\n", sdma->queues);
		return -ENODEV;
	}
	return dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
}

static void reset_queues(struct sdma_device *sdma)
{
	writel(SDMA_CONTROL_RESET, sdma->regs + SDMA_CONTROL);
}

static void init_queues(struct sdma_device *sdma)
{
	for (unsigned int i = 0; i < sdma->queues; i++) {
		struct sdma_queue *queue = &sdma->queue[i];

		queue->sdma = sdma;
		queue->number = i;
		queue->regs = sdma->regs + SDMA_QUEUE_BASE + i * SDMA_QUEUE_STRIDE;
		mutex_init(&queue->lock);
		init_rwsem(&queue->doorbell_lock);
		init_waitqueue_head(&queue->wait);
	}
}

/* Open files outlive the PCI device: the last of them ends up here. */
static void sdma_device_release(struct device *dev)
{
	struct sdma_device *sdma = container_of(dev, struct sdma_device, dev);

	ida_free(&sdma_ida, MINOR(dev->devt));
	kfree(sdma);
}

static struct sdma_device *new_device(struct pci_dev *pdev)
{
	struct sdma_device *sdma;
	int minor, ret;

	sdma = kzalloc_obj(*sdma);
	if (!sdma)
		return ERR_PTR(-ENOMEM);
	minor = ida_alloc_max(&sdma_ida, MINORMASK, GFP_KERNEL);
	if (minor < 0) {
		kfree(sdma);
		return ERR_PTR(minor);
	}
	init_rwsem(&sdma->live);
	sdma->pdev = pdev;
	device_initialize(&sdma->dev);
	sdma->dev.class = &sdma_class;
	sdma->dev.parent = &pdev->dev;
	sdma->dev.groups = sdma_groups;
	sdma->dev.devt = MKDEV(MAJOR(sdma_numbers), minor);
	sdma->dev.release = sdma_device_release;
	ret = dev_set_name(&sdma->dev, "sdma%d", minor);
	if (ret) {
		put_device(&sdma->dev);
		return ERR_PTR(ret);
	}
	cdev_init(&sdma->cdev, &sdma_fops);
	sdma->cdev.owner = THIS_MODULE;
	return sdma;
}

static int sdma_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct sdma_device *sdma = new_device(pdev);
	int ret;

	if (IS_ERR(sdma))
		return PTR_ERR(sdma);
	pci_set_drvdata(pdev, sdma);
	ret = map_device(sdma);
	if (ret)
		goto put;
	init_queues(sdma);
	reset_queues(sdma);
	pci_set_master(pdev);
	ret = set_up_interrupts(sdma);
	if (ret)
		goto put;
	ret = cdev_device_add(&sdma->cdev, &sdma->dev);
	if (ret)
		goto no_interrupts;
	pci_info(pdev, "%s: %u queues, %u vectors\n", dev_name(&sdma->dev), sdma->queues,
		 sdma->vectors);
	return 0;

no_interrupts:
	free_interrupts(sdma);
put:
	put_device(&sdma->dev);
	return ret;
}

/* Every queue off and unbound, and no one inside who could change that. */
static void end_use(struct sdma_device *sdma, enum sdma_life life)
{
	down_write(&sdma->live);
	sdma->life = life;
	for (unsigned int i = 0; i < sdma->queues; i++) {
		struct sdma_queue *queue = &sdma->queue[i];

		mutex_lock(&queue->lock);
		sdma_queue_unbind(queue);
		mutex_unlock(&queue->lock);
	}
	up_write(&sdma->live);
}

/* What would not stop by itself has been stopped by a reset, which is over at once. */
static void free_stuck_queues(struct sdma_device *sdma)
{
	for (unsigned int i = 0; i < sdma->queues; i++) {
		struct sdma_queue *queue = &sdma->queue[i];

		mutex_lock(&queue->lock);
		if (queue->stuck) {
			queue->stuck = false;
			WRITE_ONCE(queue->enabled, false);
			sdma_queue_unbind(queue);
			/* Its file has gone without it. */
			if (!queue->mapping)
				clear_bit_unlock(queue->number, sdma->in_use);
		}
		mutex_unlock(&queue->lock);
	}
}

static void sdma_remove(struct pci_dev *pdev)
{
	struct sdma_device *sdma = pci_get_drvdata(pdev);

	cdev_device_del(&sdma->cdev, &sdma->dev);
	end_use(sdma, SDMA_GONE);
	pci_clear_master(pdev);
	reset_queues(sdma);
	free_stuck_queues(sdma);
	free_interrupts(sdma);
	put_device(&sdma->dev);
}

static void sdma_reset_prepare(struct pci_dev *pdev)
{
	end_use(pci_get_drvdata(pdev), SDMA_RESETTING);
}

static void sdma_reset_done(struct pci_dev *pdev)
{
	struct sdma_device *sdma = pci_get_drvdata(pdev);

	down_write(&sdma->live);
	reset_queues(sdma);
	free_stuck_queues(sdma);
	sdma->life = SDMA_LIVE;
	up_write(&sdma->live);
}

static const struct pci_error_handlers sdma_err_handler = {
	.reset_prepare = sdma_reset_prepare,
	.reset_done = sdma_reset_done,
};

static const struct pci_device_id sdma_ids[] = { { PCI_DEVICE(SDMA_VENDOR, SDMA_DEVICE) }, {} };
MODULE_DEVICE_TABLE(pci, sdma_ids);

static struct pci_driver sdma_driver = {
	.name = "sdma",
	.id_table = sdma_ids,
	.probe = sdma_probe,
	.remove = sdma_remove,
	.err_handler = &sdma_err_handler,
};

static int __init sdma_init(void)
{
	int ret = alloc_chrdev_region(&sdma_numbers, 0, MINORMASK + 1, "sdma");

	if (ret)
		return ret;
	ret = class_register(&sdma_class);
	if (ret)
		goto no_class;
	ret = pci_register_driver(&sdma_driver);
	if (ret)
		goto no_driver;
	return 0;

no_driver:
	class_unregister(&sdma_class);
no_class:
	unregister_chrdev_region(sdma_numbers, MINORMASK + 1);
	return ret;
}
module_init(sdma_init);

static void __exit sdma_exit(void)
{
	pci_unregister_driver(&sdma_driver);
	class_unregister(&sdma_class);
	unregister_chrdev_region(sdma_numbers, MINORMASK + 1);
	ida_destroy(&sdma_ida);
}
module_exit(sdma_exit);

MODULE_DESCRIPTION("sdma: DMA in the address space of a process");
MODULE_LICENSE("GPL");
