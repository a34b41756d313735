"""The loader on a real kernel, under each shell that it may meet: what it inserts, makes and says.

Every test is a script that the guest runs, and what must come of it. All of them run in one boot.
"""

from __future__ import annotations

import lzma
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import zstandard

from tests.support.guest import Answer, Guest
from tests.support.kernels import compile_modules, headers, kernel

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.timeout(1800)

LOADER = Path(__file__).parents[2] / "recipes" / "modules"
RELEASE = "6.1.0-56-amd64"
SHELLS = {"dash": "/bin/dash", "busybox": "/bin/busybox sh", "bash": "/bin/bash"}

PRELUDE = """
conf() { printf '%s\\n' folder=/image "$@" > /image/modules.conf; }
load() { $SHELL_ /image/load "$@"; }
loaded() { cut -d' ' -f1 /proc/modules | tr '\\n' ' '; }
firmware_path() { cat /sys/module/firmware_class/parameters/path; }
ends() {
    status=$?
    for one in t_use t_dep t_plain t_firmware t_device t_nvidia t_drm drm; do rmmod $one 2>/dev/null; done
    exit $status
}
trap ends EXIT
"""
TRIALS: dict[str, str] = {}


def trial(script: str) -> Callable[[Any], Any]:
    """The test is given what came of ``script``, under each shell."""

    def register(function: Any) -> Any:
        TRIALS[function.__name__] = script
        return pytest.mark.parametrize("shell", SHELLS)(function)

    return register


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_modules(headers(RELEASE), tmp_path_factory.mktemp("modules") / "own")


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same modules, of which t_plain has another version."""
    folder = tmp_path_factory.mktemp("modules") / "second"
    return compile_modules(headers(RELEASE), folder, "t_plain", t_plain=('"1.0"', '"2.0"'))


def image(guest: Guest, modules: Path) -> None:
    for script in ("load", "nvidia-nodes"):
        guest.add(f"/image/{script}", LOADER / script)
    for name in ("t_dep", "t_use", "t_plain", "t_absent", "t_firmware", "t_device", "t_nvidia", "t_drm", "t_unknown"):
        guest.add(f"/image/{name}.ko", modules / f"{name}.ko")
    plain = (modules / "t_plain.ko").read_bytes()
    guest.add("/image/kernels/6.1.0-55-amd64/t_plain.ko", b"another kernel's")
    guest.add(f"/image/kernels/{RELEASE}/t_plain.ko", plain)
    guest.add("/image/xz/t_plain.ko.xz", lzma.compress(plain, check=lzma.CHECK_CRC32))
    guest.add("/image/zst/t_plain.ko.zst", zstandard.compress(plain))
    guest.add("/image/t_damaged.ko", plain[:-5000])
    guest.add("/image/t_foreign.ko", plain.replace(b"preempt mod_unload", b"preempt mod_upload"))
    guest.add("/image/firmware/t/firmware.bin", b"12345")
    guest.add("/etc/passwd", b"root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")


@pytest.fixture(scope="module")
def answers(modules: Path, second: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Answer]:
    guest = Guest(tmp_path_factory.mktemp("guest"))
    image(guest, modules)
    guest.add("/image/second/t_plain.ko", second / "t_plain.ko")
    for root in ("", "/kmod"):
        guest.program("/bin/dash", "dash", root)
        guest.program("/bin/bash", "bash", root)
    for program in ("/usr/sbin/insmod", "/usr/sbin/modprobe"):
        guest.program(program, "kmod", "/kmod")
    booted = kernel(RELEASE)
    guest.add(f"/modules/{RELEASE}/modules.dep", booted.modules / "modules.dep")
    for file in booted.own("drm"):
        guest.add(f"/modules/{RELEASE}/{file.relative_to(booted.modules)}", file)
    for shell, command in SHELLS.items():
        for name, script in TRIALS.items():
            guest.trial(f"{shell} {name}", f"SHELL_='{command}'\n{PRELUDE}{script}")
    told = guest.boot(booted)
    return {(shell, name): told[f"{shell} {name}"] for shell in SHELLS for name in TRIALS}


@pytest.fixture
def answer(request: pytest.FixtureRequest, shell: str, answers: dict[tuple[str, str], Answer]) -> Answer:
    return answers[shell, request.function.__name__]


@trial("""
conf modules='"t_dep t_use t_plain"' parameters_t_plain=word=5
load sh -c 'echo "$0 $1"; exit 9' 'a  b' c; echo $?
loaded; cat /sys/module/t_plain/parameters/word
""")
def test_modules_go_in_in_order_and_the_command_takes_its_place(answer: Answer) -> None:
    assert answer.said == "a  b c\n9\nt_plain t_use t_dep 5\n"


@trial("""
conf modules='"t-dep t_plain"'
load && load && load echo again
""")
def test_what_is_loaded_stays(answer: Answer) -> None:
    assert (answer.status, answer.said) == (0, "again\n")


@trial("""
conf modules=t_plain; load
conf modules=t_plain folder=/image/second; load echo no; echo $?
conf modules=t_plain folder=/image/second optional=t-plain; load echo on
""")
def test_another_version_is_noticed(answer: Answer) -> None:
    said = "another t_plain is loaded: 1.0, and this image has 2.0 (rmmod it on the host, or use --nodes)"
    assert answer.said == f"load: {said}\n5\nload: {said}\nload: t_plain is optional: going on\non\n"


@trial("""
conf modules=t_plain 'kernels="6.1.0-55-amd64 6.1.0-56-amd64"'; load echo listed
conf modules=t_plain 'kernels="6.1.0-55-amd64 6.1.0-5"'; KERNEL_RELEASES=6.1.0-55-amd64 load echo no; echo $?
KERNEL_RELEASES='6.1.0-54-amd64 6.1.0-56-amd64' load echo 'by a variable'
load --any-kernel echo tried
""")
def test_all_kernels_that_fit_are_accepted_and_no_others(answer: Answer) -> None:
    told = "load: the modules are for the kernel 6.1.0-55-amd64 6.1.0-5"
    assert answer.said.splitlines() == [
        "listed", f"{told}, but this host runs {RELEASE}", "3", "by a variable",
        f"{told}; trying them on {RELEASE}", "tried",
    ]  # fmt: skip


@trial("conf modules=t_plain folder=/image/kernels; load && loaded")
def test_each_kernel_can_have_a_folder(answer: Answer) -> None:
    assert answer.said == "t_plain "


@trial("conf modules='\"t_use t_dep\"'; load echo no; status=$?; loaded; exit $status")
def test_a_symbol_that_nobody_has(answer: Answer) -> None:
    assert answer.status == 4
    assert "did not take t_use: it uses symbols that neither this kernel nor a module that is loaded has" in answer.said
    assert "t_use: Unknown symbol t_dep_word (err -2)" in answer.said
    assert "GPU" not in answer.said


@trial("conf modules='\"t_use t_gone t_plain\"' optional='\"t_use t_gone\"'; load echo on && loaded")
def test_an_optional_module_may_fail(answer: Answer) -> None:
    assert answer.said.endswith("load: t_gone is optional: going on\non\nt_plain ")
    assert "Unknown symbol t_dep_word" in answer.said


@trial("conf modules=t_gone; load")
def test_a_module_that_is_not_there(answer: Answer) -> None:
    assert (answer.status, answer.said) == (2, f"load: t_gone is neither in /image/{RELEASE} nor in /image\n")


@trial("conf modules=t_absent; load")
def test_a_driver_without_a_device(answer: Answer) -> None:
    assert answer.status == 7
    assert "did not take t_absent: its driver found no device on this host\n" in answer.said
    assert "t_absent: no device found\n" in answer.said


@trial("""
conf modules=t_drm needs=drm; load; echo $?
mkdir -p /lib; ln -s /modules /lib/modules; load && loaded; rm /lib/modules
""")
def test_modules_of_the_host(answer: Answer) -> None:
    without, _, with_them = answer.said.partition("4\n")
    assert "it needs the host's drm before: mount /lib/modules, or load it on the host\n" in without
    assert "Unknown symbol drm_gem_object_free" in without
    assert with_them.startswith("t_drm drm ")


@trial("conf modules=t_damaged; load")
def test_a_damaged_file(answer: Answer) -> None:
    assert answer.status == 4
    assert "did not take t_damaged: it is for another architecture, or its file is damaged\n" in answer.said


@trial("conf modules=t_foreign; load")
def test_another_version_magic(answer: Answer) -> None:
    assert answer.status == 4
    assert "did not take t_foreign: it was compiled for another kernel\n" in answer.said
    assert "mod_upload modversions ' should be '" in answer.said


@trial("""
conf modules=t_plain folder=/image/xz; load && load && loaded; rmmod t_plain
conf modules=t_plain folder=/image/zst; load
""")
def test_busybox_reads_xz_and_no_zst(answer: Answer) -> None:
    assert answer.said.startswith("t_plain ")
    assert answer.status == 4
    assert "did not take t_plain: busybox can't read it: add kmod to the image\n" in answer.said


@trial("""
conf modules=t_plain folder=/image/zst
for there in /usr /lib /lib64; do [ ! -e /kmod$there ] || { mkdir -p $there; mount --bind /kmod$there $there; }; done
load && loaded
umount /usr /lib64 /lib
""")
def test_kmod_is_preferred(answer: Answer) -> None:
    assert answer.said == "t_plain "


@trial("""
conf modules=t_firmware firmware=/image/firmware
load && firmware_path; rmmod t_firmware
printf /else >/sys/module/firmware_class/parameters/path
load && firmware_path; rmmod t_firmware
conf modules=t_absent firmware=/image/firmware; load; firmware_path
conf modules=t_firmware firmware=/image/firmware firmware_stays=yes; load; firmware_path
printf '\\0' >/sys/module/firmware_class/parameters/path
""")
def test_the_firmware_path_is_put_back(answer: Answer) -> None:
    paths = [line for line in answer.said.splitlines() if not line.startswith(("load:", "t_absent:"))]
    assert paths == ["", "/else", "/else", "/image/firmware"]
    assert answer.log.count("t_firmware: read 5 bytes") == 3


@trial("""
conf modules=t_firmware firmware=/image/firmware
cat >/inside <<'END'
mount -t proc proc /proc
[ $$ = 1 ] && exec $SHELL_ /image/load "$@"
END
export SHELL_
unshare -m -p -f sh /inside; firmware_path; ls /dev/imgasm-firmware; rmmod t_firmware
unshare -m -p -f sh -c 'mount -t tmpfs dev /dev; . /inside'; echo $?
mkdir -p /shared; unshare -m -p -f sh -c 'mount -t tmpfs dev /dev; . /inside' sh --firmware /shared
find /shared -type f; rm -r /shared
""")
def test_a_container_gives_its_firmware_to_the_host(answer: Answer) -> None:
    """The kernel opens it by a name of the host's: in its /dev, of which there is one, or a directory both know."""
    assert answer.log.count("t_firmware: read 5 bytes") == 2
    assert answer.said.startswith("\nls: /dev/imgasm-firmware: No such file")
    assert "-v /dev:/dev, or -v DIR:DIR and --firmware DIR\n" in answer.said
    assert "did not take t_firmware: the kernel did not find its firmware\n" in answer.said
    assert answer.said.endswith("\n4\n/shared/t/firmware.bin\n")


@trial("""
conf modules=t_device devices='"t_device null"'
unshare -m sh <<'END'
mount -t tmpfs dev /dev; mknod /dev/t_device3 c 1 3
$SHELL_ /image/load; ls -l /dev/t_device3 /dev/t/four /dev/null; ls -1 /dev
END
grep -w t_device /proc/devices
""".replace("unshare", "export SHELL_; unshare"))
def test_nodes_of_what_sysfs_knows(answer: Answer) -> None:
    made, _, major = answer.said.strip().rpartition("\n")
    number = major.split()[0]
    text = re.sub(" +", " ", made)
    assert re.search(rf"^crw------- 1 root 0 {number}, 4 .* /dev/t/four$", text, re.MULTILINE), text
    assert re.search(rf"^crw------- 1 root 0 {number}, 3 .* /dev/t_device3$", text, re.MULTILINE), text
    assert re.search(r"^crw-rw-rw- 1 root 0 1, 3 .* /dev/null$", text, re.MULTILINE), text
    assert text.endswith("\nnull\nt\nt_device3")


@trial("""
conf modules=t_nvidia; export SHELL_
unshare -m sh <<'END'
mount -t tmpfs dev /dev; mknod /dev/nvidia-uvm c 9 9
$SHELL_ /image/load; cd /dev; find . -type c | sort | xargs ls -ln; $SHELL_ /image/load --nodes; find . -type c | wc -l
END
grep nvidia /proc/devices
""")
def test_nvidias_nodes_have_the_hosts_own_numbers(answer: Answer) -> None:
    majors = {name: major for major, name in re.findall(r"^ *(\d+) (nvidia\S*)$", answer.said, re.MULTILINE)}
    nodes = {line.split()[-1][2:]: re.sub(" +", " ", line) for line in answer.said.splitlines() if line.startswith("c")}
    expected = {
        "nvidiactl": ("crw-rw----", 44, "nvidia", 255),
        "nvidia3": ("crw-rw----", 44, "nvidia", 3),
        "nvidia5": ("crw-rw----", 44, "nvidia", 5),
        "nvidia-uvm": ("crw-rw-rw-", 0, "nvidia-uvm", 0),
        "nvidia-uvm-tools": ("crw-rw-rw-", 0, "nvidia-uvm", 1),
        "nvidia-nvlink": ("crw-rw----", 44, "nvidia-nvlink", 0),
        "nvidia-nvswitchctl": ("crw-rw----", 44, "nvidia-nvswitch", 255),
        "nvidia-nvswitch0": ("crw-rw----", 44, "nvidia-nvswitch", 0),
        "nvidia-caps/nvidia-cap1": ("cr--------", 0, "nvidia-caps", 1),
        "nvidia-caps/nvidia-cap2": ("cr--r--r--", 0, "nvidia-caps", 2),
        "nvidia-caps/nvidia-cap30": ("cr--r--r--", 0, "nvidia-caps", 30),
        "nvidia-caps-imex-channels/channel0": ("crw-rw----", 44, "nvidia-caps-imex-channels", 0),
    }
    assert set(nodes) == set(expected)
    for name, (mode, group, driver, minor) in expected.items():
        assert nodes[name].startswith(f"{mode} 1 0 {group} {majors[driver]}, {minor} "), nodes[name]


@trial("""
conf modules='"t_dep t_use"'
mount -o remount,ro / || exit 99
load echo in; status=$?
mount -o remount,rw /; exit $status
""")
def test_a_read_only_root(answer: Answer) -> None:
    assert (answer.status, answer.said) == (0, "in\n")


@trial("""
conf modules=t_plain; su -s /bin/sh nobody -c "$SHELL_ /image/load"; echo $?
conf devices=null; rm /dev/null; su -s /bin/sh nobody -c "$SHELL_ /image/load"; echo $?; mknod -m 666 /dev/null c 1 3
""")
def test_without_the_right(answer: Answer) -> None:
    assert "this container has no right to insert modules; run it with --privileged\n" in answer.said
    assert "load: no right to make /dev/null; run this container with --privileged\n6\n" in answer.said
    assert answer.said.count("\n6\n") == 2


@trial("""
load --colour; echo $?; load --config; echo $?; load --config /image/nothing; echo $?
conf modules=; load --; echo $?; load -- echo --nodes
""")
def test_options(answer: Answer) -> None:
    assert answer.said.splitlines() == [
        "load: there is no option --colour; load --help lists them", "2",
        "load: --config needs a value; load --help lists the options", "2",
        "load: /image/nothing is missing: it lists the modules (load --help)", "2",
        "0", "--nodes",
    ]  # fmt: skip


@trial("load --help")
def test_help(answer: Answer) -> None:
    assert answer.said.startswith("usage: load [OPTION]... [COMMAND [ARGUMENT]...]\n")
    for key in ("modules", "folder", "kernels", "optional", "needs", "firmware", "devices"):
        assert re.search(rf"^  {key} ", answer.said, re.MULTILINE)


REFUSALS = {
    "module.sig_enforce=1": ("it is not signed, and this kernel takes only signed modules", "module is rejected"),
    "lockdown=integrity": ("the host is locked down (Secure Boot) and takes only modules signed with", "Lockdown: "),
}


@pytest.mark.parametrize("arguments", REFUSALS)
def test_kernels_that_take_only_signed_modules(arguments: str, modules: Path, tmp_path: Path) -> None:
    guest = Guest(tmp_path)
    image(guest, modules)
    guest.trial("", f"SHELL_='sh'\n{PRELUDE}conf modules=t_plain; load")
    answer = guest.boot(kernel(RELEASE), arguments)[""]
    why, line = REFUSALS[arguments]
    assert answer.status == 4
    assert why in answer.said and line in answer.said


def test_a_host_that_takes_no_more(modules: Path, tmp_path: Path) -> None:
    guest = Guest(tmp_path)
    image(guest, modules)
    disabled = "echo 1 >/proc/sys/kernel/modules_disabled"
    guest.trial("", f"SHELL_='sh'\n{PRELUDE}{disabled}; conf modules=t_plain; load")
    answer = guest.boot(kernel(RELEASE))[""]
    assert answer.status == 4
    assert "until it is started again (kernel.modules_disabled)" in answer.said
