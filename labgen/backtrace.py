"""Finds the reason for a failure in Vagrant's output. Pure."""

import re

MOST_SAID = 15  # lines of Vagrant's output that an error repeats
# A line of a backtrace. If Vagrant did not expect the error, the first line also contains the error message.
_FRAME = re.compile(r"\s*(from )?\S+:\d+:in [`'][^']*'(: (?P<message>.*))?$")
_STEP = re.compile(r"==> \S+: |    \S+: |Bringing machine |.*\r|\s*$")  # Vagrant's output while all is well
_AROUND = re.compile(
    r"An (unexpected )?error occurred wh(en|ile) executing |Any errors that occurred are shown below"
    r"|('\S+' )?machine\. Please (handle this error|report this as a bug)"
)
_LIBVIRT = re.compile(r"Call to \w+ failed: (?P<reason>.*?)( \(Libvirt::\w+\))?$")


def reason(said: str) -> str:
    """Why Vagrant failed: libvirt's errors first, then Vagrant's own; without progress lines and stack frames."""
    told: list[str] = []
    words: list[str] = []
    for line in said.split("\n"):
        frame = _FRAME.match(line)
        text = (frame["message"] or "") if frame else line.rstrip()
        if libvirt := _LIBVIRT.search(text):
            told.append(libvirt["reason"])
        elif not _STEP.match(text) and not _AROUND.match(text):
            words.append(text)
    lines = list(dict.fromkeys(told + words)) or said.strip().splitlines()[-MOST_SAID:]
    return "\n".join(lines[:MOST_SAID])
