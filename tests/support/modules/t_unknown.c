/* Calls what nobody has, as with KBUILD_MODPOST_WARN. */
#include <linux/module.h>
int no_such_function(void);
static int __init start(void) { return no_such_function(); }
static void __exit stop(void) { }
module_init(start); module_exit(stop);
MODULE_LICENSE("GPL");
