"""What can go wrong, as users see it.

    LabgenError                  exit code 1
    ├── UsageError                         2   a name or option that matches nothing
    ├── ProfileError                      10   the profile is not valid
    ├── StackError                        10   the compose file is not valid
    ├── HostError                         20   the host is not ready, or labgen's own files on it cannot be used
    ├── BoxError                          30   a box cannot be built, found or removed
    ├── HypervisorError                   40   libvirt, QEMU or Vagrant failed
    ├── GuestError                        50   a machine does not answer, or a script in it failed
    ├── ClusterError                      60   the orchestrator failed
    ├── BundleError                       70   an exported file is not valid
    ├── ImageError                        70   a file does not contain an image
    └── Interrupted                      130   Ctrl-C or SIGTERM

Every error carries three parts: what failed, the evidence, and what to do next.
"""


class LabgenError(Exception):
    """A failure that labgen can explain.

    :param brief: one sentence: what failed.
    :param details: the evidence, for example the last lines a program printed; may be empty.
    :param resolution: what to do next, preferably a command; may be empty.
    """

    exit_code = 1

    def __init__(self, brief: str, details: str = "", resolution: str = "") -> None:
        super().__init__(brief)
        self.brief = brief
        self.details = details.strip("\n")
        self.resolution = resolution


class UsageError(LabgenError):
    exit_code = 2


class ProfileError(LabgenError):
    exit_code = 10


class StackError(LabgenError):
    exit_code = 10


class HostError(LabgenError):
    exit_code = 20


class BoxError(LabgenError):
    exit_code = 30


class HypervisorError(LabgenError):
    exit_code = 40


class GuestError(LabgenError):
    exit_code = 50


class ClusterError(LabgenError):
    exit_code = 60


class BundleError(LabgenError):
    exit_code = 70


class ImageError(LabgenError):
    exit_code = 70


class Interrupted(LabgenError):
    exit_code = 130
