/* Does nothing, and needs nothing of anybody's but the kernel. */
#include <linux/module.h>
static int word;
module_param(word, int, 0444);
static int __init start(void) { return 0; }
static void __exit stop(void) { }
module_init(start); module_exit(stop);
MODULE_LICENSE("GPL"); MODULE_VERSION("1.0");
