/* A driver whose devices sysfs knows, as most are. */
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/version.h>
static const struct file_operations operations = { .owner = THIS_MODULE };
static struct class *class;
static int major;
static int __init start(void)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
	class = class_create("t_device");
#else
	class = class_create(THIS_MODULE, "t_device");
#endif
	major = register_chrdev(0, "t_device", &operations);
	device_create(class, NULL, MKDEV(major, 3), NULL, "t_device3");
	device_create(class, NULL, MKDEV(major, 4), NULL, "t!four");
	return 0;
}
static void __exit stop(void)
{
	device_destroy(class, MKDEV(major, 3));
	device_destroy(class, MKDEV(major, 4));
	unregister_chrdev(major, "t_device");
	class_destroy(class);
}
module_init(start); module_exit(stop);
MODULE_LICENSE("GPL");
