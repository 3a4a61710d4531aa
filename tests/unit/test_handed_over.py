"""What the Vagrantfile of a handed-over lab does after ``vagrant destroy``: real Ruby, and libvirt's test driver."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from labgen import handoff
from labgen.paths import VAGRANTFILE
from tests.unit.labs import planned

RUBY = """
require 'json'
require 'libvirt'
KEPT = Libvirt.open('test:///default') # its state lasts as long as any connection
POOL = KEPT.lookup_storage_pool_by_name('default-pool')
JSON.parse(ENV['VOLUMES']).each do |name, below|
  store = below ? "<backingStore><path>/default-pool/#{below}</path></backingStore>" : ''
  POOL.create_vol_xml("<volume><name>#{name}</name><capacity unit='MiB'>1</capacity>#{store}</volume>")
end
module Libvirt
  class << self
    alias plain_open open
    def open(_uri) = ENV['REFUSES'] ? raise(Libvirt::Error, 'no permission') : plain_open('test:///default')
  end
end
class Config
  def method_missing(_name, *) = self
  def respond_to_missing?(*) = true
  def before(*) = self
  def after(_command) = yield(self)
  def ruby(&block) = $after = block
end
module Vagrant
  module Errors
    VagrantError = Class.new(StandardError)
  end
  def self.configure(_version) = yield(Config.new)
end
Box = Struct.new(:name, :version) { def destroy! = puts("removed #{name} #{version}") }
Boxes = Class.new { def clean(name) = puts("cleaned #{name}") }
Ui = Class.new { def warn(text) = puts(text) }
Machine = Struct.new(:box, :env, :ui)
load ARGV[0]
box = Box.new(*ENV['BOX'].split) unless ENV['BOX'].empty?
$after.call(nil, Machine.new(box, Struct.new(:boxes).new(Boxes.new), Ui.new))
puts POOL.list_volumes
"""
BOX = "bundle-golden/manager1 1.7.9"
COPIES = [f"bundle-golden-VAGRANTSLASH-manager1_vagrant_box_image_1.7.9_{disk}.img" for disk in ("docker", "root")]
REMOVED = ["removed bundle-golden/manager1 1.7.9", "cleaned bundle-golden/manager1"]
OTHER = "bundle-golden-VAGRANTSLASH-manager1_vagrant_box_image_1.7.99_root.img"


def has_libvirt() -> bool:
    """Whether vagrant-libvirt, which includes it, is installed."""
    if shutil.which("ruby") is None:
        return False
    command = ["ruby", "-e", "require 'libvirt'"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not has_libvirt(), reason="needs ruby with libvirt: make install")


def after_destroy(directory: Path, volumes: dict[str, str | None], **environment: str) -> list[str]:
    """Its output, followed by the remaining volumes."""
    lab = planned("golden")
    digests = {part: "0" * 64 for node in lab.nodes for part in handoff.disk_parts(node)}
    (directory / VAGRANTFILE).write_text(handoff.files(lab, handoff.node_boxes(lab, digests))[VAGRANTFILE])
    (directory / "id_ed25519").write_text("")
    given = {"PATH": os.environ["PATH"], "VOLUMES": json.dumps(volumes), "BOX": BOX, **environment}
    command = ["ruby", "-e", RUBY, str(directory / VAGRANTFILE)]
    ran = subprocess.run(command, env=given, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


def test_the_box_goes_with_the_last_disk(tmp_path: Path) -> None:
    volumes = {COPIES[0]: None, COPIES[1]: None, OTHER: None, "theirs.img": OTHER}
    said = after_destroy(tmp_path, volumes)
    assert said[:2] == REMOVED
    assert set(said[2:]) == {OTHER, "theirs.img"}


@pytest.mark.parametrize("below", COPIES)
def test_a_box_that_a_disk_lies_on_stays(tmp_path: Path, below: str) -> None:
    volumes = {COPIES[0]: None, COPIES[1]: None, "bundle_golden_manager1.img": below}
    assert set(after_destroy(tmp_path, volumes)) == set(volumes)


def test_what_an_up_that_failed_has_left_goes_too(tmp_path: Path) -> None:
    assert after_destroy(tmp_path, {}) == REMOVED
    assert after_destroy(tmp_path, {}, BOX="") == []


def test_a_libvirt_that_refuses_does_not_end_the_destroy(tmp_path: Path) -> None:
    said = after_destroy(tmp_path, {COPIES[0]: None}, REFUSES="yes")
    assert said == ["The box bundle-golden/manager1 1.7.9 was not removed: no permission", COPIES[0]]


def test_a_lab_made_anew_leaves_its_box_to_the_receiver() -> None:
    assert "remove_box" not in handoff.files(planned("golden"), {})[VAGRANTFILE]
