/* A driver that finds no device, as NVIDIA's does without a GPU. */
#include <linux/module.h>
static int __init start(void) { pr_info("t_absent: no device found\n"); return -ENODEV; }
static void __exit stop(void) { }
module_init(start); module_exit(stop);
MODULE_LICENSE("GPL");
