/* Uses a symbol that only GPL modules may: a test changes its licence. */
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/timekeeping.h>
static int __init start(void) { return ktime_get() ? 0 : -EIO; }
static void __exit stop(void) { }
module_init(start); module_exit(stop);
MODULE_LICENSE("GPL");
