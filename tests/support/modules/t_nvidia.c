/* Registers what NVIDIA's driver 580 does on a host with two GPUs, under other majors, and fills /proc/driver as it does. */
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
static const struct file_operations operations = { .owner = THIS_MODULE };
static const char *const drivers[] = {
	"nvidia", "nvidia-uvm", "nvidia-nvswitch", "nvidia-nvlink", "nvidia-caps", "nvidia-caps-imex-channels",
};
static int majors[ARRAY_SIZE(drivers)];
static struct { const char *path, *text; } files[] = {
	{ "driver/nvidia/version", "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.0\n" },
	{ "driver/nvidia/params", "ResmanDebugLevel: 4294967295\nModifyDeviceFiles: 1\nDeviceFileUID: 0\nDeviceFileGID: 44\nDeviceFileMode: 432\n" },
	{ "driver/nvidia/gpus/0000:65:00.0/information", "Model: \t\t NVIDIA H100\nDevice Minor: \t 3\n" },
	{ "driver/nvidia/gpus/0000:66:00.0/information", "Model: \t\t NVIDIA H100\nDevice Minor: \t 5\n" },
	{ "driver/nvidia/capabilities/mig/config", "DeviceFileMinor: 1\nDeviceFileMode: 256\nDeviceFileModify: 1\n" },
	{ "driver/nvidia/capabilities/mig/monitor", "DeviceFileMinor: 2\nDeviceFileMode: 292\nDeviceFileModify: 1\n" },
	{ "driver/nvidia/capabilities/gpu3/mig/gi1/access", "DeviceFileMinor: 30\nDeviceFileMode: 292\nDeviceFileModify: 1\n" },
	{ "driver/nvidia-nvswitch/devices/0000:07:00.0/information", "BIOS Version: N/A\n" },
};
static const char *const folders[] = {
	"driver/nvidia", "driver/nvidia/gpus", "driver/nvidia/gpus/0000:65:00.0", "driver/nvidia/gpus/0000:66:00.0",
	"driver/nvidia/capabilities", "driver/nvidia/capabilities/mig", "driver/nvidia/capabilities/gpu3",
	"driver/nvidia/capabilities/gpu3/mig", "driver/nvidia/capabilities/gpu3/mig/gi1",
	"driver/nvidia-nvswitch", "driver/nvidia-nvswitch/devices", "driver/nvidia-nvswitch/devices/0000:07:00.0",
};
static int show(struct seq_file *file, void *unused)
{
	seq_puts(file, file->private);
	return 0;
}
static int __init start(void)
{
	int i;
	for (i = 0; i < ARRAY_SIZE(drivers); i++)
		majors[i] = __register_chrdev(0, 0, 256, drivers[i], &operations);
	for (i = 0; i < ARRAY_SIZE(folders); i++)
		proc_mkdir(folders[i], NULL);
	for (i = 0; i < ARRAY_SIZE(files); i++)
		proc_create_single_data(files[i].path, 0444, NULL, show, (void *)files[i].text);
	return 0;
}
static void __exit stop(void)
{
	int i;
	remove_proc_subtree("driver/nvidia", NULL);
	remove_proc_subtree("driver/nvidia-nvswitch", NULL);
	for (i = 0; i < ARRAY_SIZE(drivers); i++)
		__unregister_chrdev(majors[i], 0, 256, drivers[i]);
}
module_init(start); module_exit(stop);
MODULE_LICENSE("GPL");
