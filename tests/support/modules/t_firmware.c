/* Reads its firmware while it is inserted. */
#include <linux/firmware.h>
#include <linux/module.h>
#include <linux/platform_device.h>
static int __init start(void)
{
	const struct firmware *firmware;
	struct platform_device *device = platform_device_register_simple("t_firmware", -1, NULL, 0);
	int status = request_firmware_direct(&firmware, "t/firmware.bin", &device->dev);
	if (!status) {
		pr_info("t_firmware: read %zu bytes\n", firmware->size);
		release_firmware(firmware);
	}
	platform_device_unregister(device);
	return status;
}
static void __exit stop(void) { }
module_init(start); module_exit(stop);
MODULE_LICENSE("GPL"); MODULE_FIRMWARE("t/firmware.bin");
