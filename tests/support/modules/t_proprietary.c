/* Not free, and has what t_taint needs. */
#include <linux/module.h>
int t_proprietary_word(void);
int t_proprietary_word(void) { return 7; }
EXPORT_SYMBOL(t_proprietary_word);
MODULE_LICENSE("Proprietary");
