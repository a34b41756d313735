/* Uses a symbol that is in a namespace. */
#include <linux/dma-buf.h>
#include <linux/module.h>
static int __init start(void) { return IS_ERR(dma_buf_get(-1)) ? 0 : -EIO; }
static void __exit stop(void) { }
module_init(start); module_exit(stop);
MODULE_LICENSE("GPL"); MODULE_IMPORT_NS(DMA_BUF);
