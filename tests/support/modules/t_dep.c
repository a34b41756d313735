/* Has what t_use needs. */
#include <linux/module.h>
int t_dep_word(void);
int t_dep_word(void) { return 7; }
EXPORT_SYMBOL(t_dep_word);
MODULE_LICENSE("GPL");
