"""What the Vagrantfile of a handed-over lab does after ``vagrant destroy``, in real Ruby with a libvirt of words."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from labgen import handoff
from labgen.paths import VAGRANTFILE
from tests.unit.labs import planned

RUBY = """
require 'json'
require 'pathname'
module Libvirt
  class Error < StandardError; end
  def self.open(uri) = Connection.new
  class Connection
    def list_all_storage_pools = [Pool.new]
    def close = puts('closed')
  end
  class Pool
    def active? = true
    def list_all_volumes = JSON.parse(ENV['VOLUMES']).map { |name, below| Volume.new(name, below) }
  end
  Volume = Struct.new(:name, :below) do
    def xml_desc
      below ? "<volume><backingStore>\\n  <path>/pool/#{below}</path></backingStore></volume>" : '<volume></volume>'
    end
    def delete
      raise Error, 'no permission' if ENV['REFUSES']
      puts "delete #{name}"
    end
  end
end
module Kernel
  alias plain_require require
  def require(name) = name == 'libvirt' || plain_require(name)
end
class Config
  def method_missing(name, *given) = self
  def respond_to_missing?(*) = true
  def after(command, &block) = block.call(self)
  def ruby(&block) = $after = block
  def before(*) = self
end
module Vagrant
  def self.configure(_version) = yield(Config.new)
end
Box = Struct.new(:name, :version) do
  def destroy! = puts("box #{name} #{version}")
end
Ui = Class.new { def warn(text) = puts(text) }
Boxes = Class.new { def clean(name) = puts("clean #{name}") }
Environment = Struct.new(:boxes)
Machine = Struct.new(:box, :env, :ui)
load ARGV[0]
box = ENV['BOX'].empty? ? nil : Box.new(*ENV['BOX'].split)
$after.call(nil, Machine.new(box, Environment.new(Boxes.new), Ui.new))
"""
BOX = "bundle-golden/manager1 1.7.9"
COPIES = [f"bundle-golden-VAGRANTSLASH-manager1_vagrant_box_image_1.7.9_{disk}.img" for disk in ("root", "docker")]
GONE = [f"delete {copy}" for copy in COPIES] + ["box bundle-golden/manager1 1.7.9", "clean bundle-golden/manager1"]
OTHER = "bundle-golden-VAGRANTSLASH-manager1_vagrant_box_image_1.7.99_root.img"

pytestmark = pytest.mark.skipif(shutil.which("ruby") is None, reason="needs ruby: make install")


def after_destroy(directory: Path, volumes: dict[str, str | None], *, box: str = BOX, refuses: str = "") -> list[str]:
    lab = planned("golden")
    digests = {part(node.name): "0" * 64 for node in lab.nodes for part in (handoff.root_part, handoff.docker_part)}
    (directory / VAGRANTFILE).write_text(handoff.files(lab, handoff.node_boxes(lab, digests))[VAGRANTFILE])
    (directory / "id_ed25519").write_text("")
    environment = {"PATH": "/usr/bin:/bin", "VOLUMES": json.dumps(volumes), "BOX": box}
    environment |= {"REFUSES": refuses} if refuses else {}
    command = ["ruby", "-e", RUBY, str(directory / VAGRANTFILE)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


def test_the_box_goes_with_the_last_disk(tmp_path: Path) -> None:
    volumes = {COPIES[0]: None, COPIES[1]: None, OTHER: None, "theirs.img": OTHER}
    assert after_destroy(tmp_path, volumes) == [*GONE, "closed"]


@pytest.mark.parametrize("below", COPIES)
def test_a_box_that_a_disk_lies_on_stays(tmp_path: Path, below: str) -> None:
    assert after_destroy(tmp_path, {COPIES[0]: None, COPIES[1]: None, "bundle_golden_manager1.img": below}) == [
        "closed"
    ]


def test_what_an_up_that_failed_has_left_goes_too(tmp_path: Path) -> None:
    assert after_destroy(tmp_path, {}) == [*GONE[2:], "closed"]
    assert after_destroy(tmp_path, {}, box="") == []


def test_a_libvirt_that_refuses_does_not_end_the_destroy(tmp_path: Path) -> None:
    said = after_destroy(tmp_path, dict.fromkeys(COPIES), refuses="yes")
    assert said == ["The box bundle-golden/manager1 1.7.9 was not removed from libvirt: no permission", "closed"]


def test_a_lab_made_anew_leaves_its_box_to_the_receiver() -> None:
    assert "remove_box" not in handoff.files(planned("golden"), {})[VAGRANTFILE]
