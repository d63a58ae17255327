"""The program among other programs: its standard streams, the signals that end it, its cores, installation, machine.

Nothing here knows of frames or models. `run_program` is the frame of all three commands; `say` is how they talk.
"""
