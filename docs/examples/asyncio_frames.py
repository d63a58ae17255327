"""Rectifies in an asyncio program without blocking its loop: python asyncio_frames.py VIDEO"""

import asyncio
import sys
from collections.abc import AsyncIterator

from stn_rectify.runtime import FrameSource, Pipeline, Processed, Rectifier, VideoSource


async def processed(source: FrameSource, pipeline: Pipeline) -> AsyncIterator[Processed]:
    """Waiting for a frame and rectifying it happen in a thread; one frame at a time."""
    frames = iter(source)
    while (frame := await asyncio.to_thread(next, frames, None)) is not None:
        yield await asyncio.to_thread(pipeline.process, frame)


async def clock() -> None:
    while True:
        await asyncio.sleep(0.5)
        print("the loop is free")


async def main(video: str) -> None:
    ticking = asyncio.create_task(clock())
    with VideoSource(video) as source, Rectifier() as rectifier:
        async for done in processed(source, Pipeline(rectifier)):
            print(f"frame {done.frame.index}: score {done.result.score:.2f}")
    ticking.cancel()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python asyncio_frames.py VIDEO")
    asyncio.run(main(sys.argv[1]))
