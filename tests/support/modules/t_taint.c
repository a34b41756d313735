/* Between a symbol for GPL modules and one of a proprietary module. */
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/timekeeping.h>
int t_proprietary_word(void);
static int __init start(void) { return ktime_get() && t_proprietary_word() ? 0 : -EIO; }
static void __exit stop(void) { }
module_init(start); module_exit(stop);
MODULE_LICENSE("GPL");
