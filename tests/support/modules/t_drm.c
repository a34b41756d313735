/* Needs drm.ko, which is the kernel's own. */
#include <drm/drm_gem.h>
#include <linux/module.h>
static void *volatile function = drm_gem_object_free;
static int __init start(void) { return function ? 0 : -EIO; }
static void __exit stop(void) { }
module_init(start); module_exit(stop);
MODULE_LICENSE("GPL");
