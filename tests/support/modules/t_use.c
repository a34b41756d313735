/* Needs t_dep. */
#include <linux/module.h>
int t_dep_word(void);
static int __init start(void) { return t_dep_word() == 7 ? 0 : -EIO; }
static void __exit stop(void) { }
module_init(start); module_exit(stop);
MODULE_LICENSE("GPL");
