"""Small folders of annotated frames, as the tools write them."""

from __future__ import annotations

import json

import cv2
import numpy as np

from stn_rectify.runtime.annotations import read_annotations

WIDTH, HEIGHT = 640, 480


def save_image(file, size=(WIDTH, HEIGHT)):
    file.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imencode(file.suffix, np.full((size[1], size[0], 3), 7, np.uint8))[1].tofile(file) is None


def save(file, content):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def corners_of(source, **arguments):
    """The corners of all targets by the names of the images."""
    read = read_annotations(source, **arguments)
    return {frame.path.name: [target.corners.tolist() for target in frame.targets] for frame in read.frames}


SQUARE = [[100, 100], [300, 100], [300, 200], [100, 200]]
UPSIDE_DOWN = [[300, 200], [100, 200], [100, 100], [300, 100]]


def shape(kind, points, label="page", **more):
    return {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}, **more}


def save_labelme(folder, name, *shapes, image=None):
    save_image(folder / f"{name}.jpg")
    content = {
        "version": "5.5.0",
        "flags": {},
        "shapes": shapes,
        "imagePath": image or f"{name}.jpg",
        "imageData": None,
        "imageHeight": HEIGHT,
        "imageWidth": WIDTH,
    }
    save(folder / f"{name}.json", json.dumps(content, indent=2))


CVAT = """\
<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta>
    <task>
      <id>4</id>
      <name>plates</name>
      <size>2</size>
      <mode>annotation</mode>
      <labels>
        <label>
          <name>plate</name>
          <color>#c06060</color>
          <type>any</type>
          <attributes>
            <attribute>
              <name>reading</name>
              <mutable>False</mutable>
              <input_type>text</input_type>
              <default_value></default_value>
              <values></values>
            </attribute>
          </attributes>
        </label>
      </labels>
    </task>
    <dumped>2024-05-13 09:12:12.084302+00:00</dumped>
  </meta>
  <image id="0" name="a.jpg" width="640" height="480">
    {shapes}
  </image>
  <image id="1" name="empty.jpg" width="640" height="480">
  </image>
</annotations>
"""
POLYGON = """\
<polygon label="plate" source="manual" occluded="0" points="{points}" z_order="0">
      <attribute name="reading">AB 123</attribute>
    </polygon>"""
BOX = '<box label="plate" occluded="0" xtl="100.5" ytl="100.5" xbr="300.5" ybr="200.5"{turn} z_order="0"/>'


def save_cvat(folder, *shapes):
    for name in ("a.jpg", "empty.jpg"):
        save_image(folder / "images" / name)
    save(folder / "annotations.xml", CVAT.format(shapes="\n    ".join(shapes)))
